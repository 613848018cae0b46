//! Folders of the storage, read and written whole: for backups.
//!
//! What is in there belongs to whatever users the containers run as; the server is none of them, and not root. Docker is: its
//! archive calls (`GET` and `PUT /containers/ID/archive`) read and write below a container with all owners and modes, also where
//! that container was never started. So the folder is mounted into a container of an empty image, in which nothing ever runs.
//! What a hostile archive could reach is that container and that folder: Docker unpacks with the container as its root.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType};
use bollard::query_parameters::{
    CreateContainerOptions, CreateImageOptionsBuilder, DownloadFromContainerOptionsBuilder,
    ListImagesOptionsBuilder, RemoveImageOptionsBuilder, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use tokio_util::io::ReaderStream;

use super::cleaning::kind_of;
use super::errors::{About, is_not_found};
use super::json_lines::whole;
use super::processes::forced_removal;
use super::task_stream::TaskStream;
use super::{Inner, labels};
use crate::engine::storage::Brought;
use crate::engine::{EngineError, FolderStream, ProcessId};
use crate::model::StorageName;

/// The kind of these containers and of their image.
const KIND: &str = "storage";
/// Where the folder is in the container. What is in it has this in front of its path.
const AT: &str = "/storage";
/// An archive without entries: two blocks of zeros (POSIX, pax interchange format).
const EMPTY: [u8; 1024] = [0; 1024];
/// How long a folder may take on its way.
const LIMIT: Duration = Duration::from_secs(12 * 3600);
/// What a process may finish that sees the folder from before.
const GRACE: Duration = Duration::from_secs(10);
/// Pieces on their way to a slow reader, 64 KiB at most each.
const WAITING: usize = 8;

impl Inner {
    pub(super) async fn read_storage(
        self: Arc<Self>,
        name: &StorageName,
    ) -> Result<FolderStream, EngineError> {
        self.settle_storage(name).await?;
        let folder = self.storage.join(name.as_str());
        if !is_folder(&folder).await {
            return Err(EngineError::Gone {
                what: format!("the folder of the storage `{name}`"),
            });
        }
        self.refuse_remapped().await?;
        let vessel = Vessel::make(&self, &folder, true).await?;
        let docker = self.connection.patient_client(LIMIT).await?;
        Ok(TaskStream::spawn(WAITING, move |pieces| async move {
            let options = DownloadFromContainerOptionsBuilder::default()
                .path(AT)
                .build();
            let mut archive = docker
                .download_from_container(&vessel.container, Some(options))
                .boxed();
            while let Some(piece) = archive.next().await {
                let piece = piece.map_err(|error| self.connection.error(error, About::Call));
                let is_last = piece.is_err();
                if pieces.send(piece).await.is_err() || is_last {
                    break;
                }
            }
            drop(archive);
            vessel.remove().await;
        })
        .boxed())
    }

    /// A Docker whose containers have users of their own (`userns-remap`) reads folders with the ids of the machine, and writes them
    /// with those of the containers (moby#43698): what it has read here, it could not put back.
    async fn refuse_remapped(&self) -> Result<(), EngineError> {
        let docker = self.connection.client().await?;
        let info = docker.info().await;
        let info = info.map_err(|error| self.connection.error(error, About::Call))?;
        let mut options = info.security_options.iter().flatten();
        match options.any(|option| option.starts_with("name=userns")) {
            true => Err(EngineError::Refused {
                said: "folders of the storage cannot be in backups where Docker maps users (userns-remap): it would not take them back; \
                       copy /var/lib/mini/storage by other means, and back up without --with-storage"
                    .to_owned(),
            }),
            false => Ok(()),
        }
    }

    /// Puts in place what a restore has brought for a folder. Done before anything sees the folder: an app that starts finds
    /// what it kept, or does not start.
    ///
    /// # Errors
    /// `Refused` with the reason, `DiskFull`, `Unavailable`; it is done again from the beginning by the next call.
    pub(super) async fn settle_storage(&self, name: &StorageName) -> Result<(), EngineError> {
        let _alone = self.settling.lock().await;
        let Some(brought) = self.brought(name, Brought::find).await? else {
            return Ok(());
        };
        if let Some(archive) = brought.archive() {
            let into = {
                let brought = brought.clone();
                self.brought(name, move |_, _| brought.begin()).await?
            };
            tracing::info!(%name, "putting back what a backup holds of a folder of the storage");
            self.write_storage(name, &archive, &into).await?;
        }
        self.end_those_who_see(name).await?;
        let kept = self.brought(name, move |_, _| brought.place()).await?;
        match kept {
            Some(kept) => {
                tracing::warn!(%name, kept = %kept.display(), "put back; what was there is kept beside")
            }
            None => tracing::info!(%name, "put back"),
        }
        Ok(())
    }

    /// The same for all folders.
    pub(super) async fn settle_all_storage(&self) -> Result<(), EngineError> {
        let storage = self.storage.clone();
        let found = tokio::task::spawn_blocking(move || Brought::all(&storage)).await;
        let found = found.unwrap_or_else(|_| Err(std::io::ErrorKind::Interrupted.into()));
        let names = found.map_err(|error| EngineError::Refused {
            said: format!("what a restore has brought of the storage could not be listed: {error}"),
        })?;
        for name in names {
            self.settle_storage(&name).await?;
        }
        Ok(())
    }

    /// A container goes on seeing the folder that it was started with, wherever that is moved: what its app writes from then on
    /// would be lost to the processes after it.
    async fn end_those_who_see(&self, name: &StorageName) -> Result<(), EngineError> {
        let docker = self.connection.client().await?;
        let folder = self.storage.join(name.as_str()).display().to_string();
        let ours = [(labels::INSTANCE, self.instance.as_str())];
        for container in self.containers(&docker, &ours).await? {
            let mut mounts = container.mounts.iter().flatten();
            let sees = mounts.any(|mount| mount.source.as_ref() == Some(&folder));
            if let Some(id) = container.id.clone()
                && sees
                && kind_of(&container) != Some(KIND)
            {
                let id = ProcessId(id);
                self.stop(&id, GRACE).await?;
                self.remove(&id).await?;
            }
        }
        Ok(())
    }

    /// Work on files, off the async threads.
    async fn brought<T: Send + 'static>(
        &self,
        name: &StorageName,
        work: impl FnOnce(&Path, &StorageName) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, EngineError> {
        let (storage, owned) = (self.storage.clone(), name.clone());
        let done = tokio::task::spawn_blocking(move || work(&storage, &owned)).await;
        let done = done.unwrap_or_else(|_| Err(std::io::ErrorKind::Interrupted.into()));
        done.map_err(|error| not_put_back(name, &error.to_string()))
    }

    async fn write_storage(
        &self,
        name: &StorageName,
        archive: &Path,
        into: &Path,
    ) -> Result<(), EngineError> {
        let file = tokio::fs::File::open(archive)
            .await
            .map_err(|error| not_put_back(name, &error.to_string()))?;
        let vessel = Vessel::make(self, into, false).await?;
        let docker = self.connection.patient_client(LIMIT).await?;
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        let body = bollard::body_try_stream(ReaderStream::with_capacity(file, 64 << 10));
        let written = docker
            .upload_to_container(&vessel.container, Some(options), body)
            .await;
        vessel.remove().await;
        match written.map_err(|error| self.connection.error(error, About::Call)) {
            Err(EngineError::Refused { said }) => Err(not_put_back(name, &said)),
            other => other,
        }
    }

    /// Removes the images of vessels that a crash has left; their containers are removed as all leftovers are.
    pub(super) async fn remove_vessels(&self, docker: &Docker) -> Result<(), EngineError> {
        let filters = [
            (labels::INSTANCE, self.instance.as_str()),
            (labels::KIND, KIND),
        ];
        let options = ListImagesOptionsBuilder::default()
            .filters(&labels::filter(&filters))
            .build();
        let images = docker.list_images(Some(options)).await;
        for image in images.map_err(|error| self.connection.error(error, About::Call))? {
            remove_image(docker, &image.id).await;
        }
        Ok(())
    }
}

async fn is_folder(path: &Path) -> bool {
    // A link would lead elsewhere.
    let facts = tokio::fs::symlink_metadata(path).await;
    facts.is_ok_and(|facts| facts.is_dir())
}

fn not_put_back(name: &StorageName, why: &str) -> EngineError {
    EngineError::Refused {
        said: format!("the folder of the storage `{name}` could not be put back: {why}"),
    }
}

/// A container that sees one folder and runs nothing. Removed when it is dropped.
struct Vessel {
    docker: Docker,
    image: String,
    container: String,
}

impl Vessel {
    async fn make(inner: &Inner, folder: &Path, is_read_only: bool) -> Result<Vessel, EngineError> {
        let failed = |error| inner.connection.error(error, About::Call);
        let docker = inner.connection.client().await?;
        let label = |name: &str, value: &str| format!("LABEL {name}={value}");
        let options = CreateImageOptionsBuilder::default()
            .from_src("-")
            .changes(vec![
                label(labels::INSTANCE, &inner.instance),
                label(labels::KIND, KIND),
            ])
            .build();
        let body = bollard::body_full(Bytes::from_static(&EMPTY));
        let answers = whole(docker.create_image(Some(options), Some(body), None));
        let answers: Vec<_> = answers.try_collect().await.map_err(failed)?;
        let image = answers
            .into_iter()
            .filter_map(|answer| answer.status)
            .find(|status| status.starts_with("sha256:"));
        let image = image.ok_or_else(|| EngineError::Refused {
            said: "an empty image was made, and not named".to_owned(),
        })?;
        let request = ContainerCreateBody {
            image: Some(image.clone()),
            // It is never started, but has to name something.
            cmd: Some(vec!["/nothing".to_owned()]),
            labels: Some(HashMap::from([
                (labels::INSTANCE.to_owned(), inner.instance.clone()),
                (labels::KIND.to_owned(), KIND.to_owned()),
            ])),
            network_disabled: Some(true),
            host_config: Some(HostConfig {
                network_mode: Some("none".to_owned()),
                mounts: Some(vec![Mount {
                    target: Some(AT.to_owned()),
                    source: Some(folder.display().to_string()),
                    typ: Some(MountType::BIND),
                    read_only: Some(is_read_only),
                    ..Mount::default()
                }]),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let created = docker
            .create_container(None::<CreateContainerOptions>, request)
            .await;
        match created {
            Ok(created) => Ok(Vessel {
                docker,
                image,
                container: created.id,
            }),
            Err(error) => {
                remove_image(&docker, &image).await;
                Err(failed(error))
            }
        }
    }

    async fn remove(mut self) {
        remove(&self.docker, &self.container, &self.image).await;
        self.container.clear();
    }
}

impl Drop for Vessel {
    fn drop(&mut self) {
        if self.container.is_empty() {
            return;
        }
        let (docker, container, image) = (
            self.docker.clone(),
            std::mem::take(&mut self.container),
            std::mem::take(&mut self.image),
        );
        // Without a runtime the process is ending; the next server removes what is left.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { remove(&docker, &container, &image).await });
        }
    }
}

async fn remove(docker: &Docker, container: &str, image: &str) {
    match docker.remove_container(container, forced_removal()).await {
        Err(error) if !is_not_found(&error) => {
            tracing::warn!(%error, "a container that saw a folder of the storage could not be removed");
        }
        _ => remove_image(docker, image).await,
    }
}

async fn remove_image(docker: &Docker, image: &str) {
    let options = RemoveImageOptionsBuilder::default().force(true).build();
    match docker.remove_image(image, Some(options), None).await {
        Err(error) if !is_not_found(&error) => {
            tracing::warn!(%error, "an empty image could not be removed");
        }
        _ => {}
    }
}
