//! Images: what is known of one, fetching base images, and removing our own.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{CreateImageInfo, ImageInspect, ImageSummary};
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptions,
};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};

use super::Inner;
use super::errors::{About, is_conflict, is_not_found, plain, refusal};
use super::json_lines::whole;
use super::labels::{self, Kind};
use super::task_stream::TaskStream;
use crate::engine::{EngineError, ImageFacts};
use crate::model::{AppName, ImageId};

/// How long a registry may take until the first word of an answer comes.
const PULL_ANSWER_LIMIT: Duration = Duration::from_secs(600);
/// How many entry points are kept in memory; a few hundred apps with their releases.
const ENTRYPOINTS_KEPT: usize = 4096;

impl Inner {
    pub(super) async fn image(&self, reference: &str) -> Result<Option<ImageFacts>, EngineError> {
        let docker = self.connection.client().await?;
        match docker.inspect_image(reference).await {
            Ok(image) => {
                let entrypoint = entrypoint_of(&image);
                let facts = facts(image);
                if let Some(facts) = &facts {
                    self.remember_entrypoint(&facts.id, entrypoint);
                }
                Ok(facts)
            }
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(self.connection.error(error, About::Image(reference))),
        }
    }

    /// The ENTRYPOINT of an image. An id stands for its content, so the answer is asked for once.
    pub(super) async fn entrypoint(
        &self,
        docker: &Docker,
        image: &ImageId,
    ) -> Result<Arc<[String]>, EngineError> {
        let known = self.entrypoints().get(image).cloned();
        if let Some(entrypoint) = known {
            return Ok(entrypoint);
        }
        let found = docker
            .inspect_image(image.as_str())
            .await
            .map_err(|error| self.connection.error(error, About::Image(image.as_str())))?;
        let entrypoint = entrypoint_of(&found);
        self.remember_entrypoint(image, Arc::clone(&entrypoint));
        Ok(entrypoint)
    }

    /// Spares the first start of an image the question: whoever deploys it has asked for its facts before.
    fn remember_entrypoint(&self, image: &ImageId, entrypoint: Arc<[String]>) {
        let mut entrypoints = self.entrypoints();
        if entrypoints.len() >= ENTRYPOINTS_KEPT {
            entrypoints.clear();
        }
        entrypoints.insert(image.clone(), entrypoint);
    }

    fn entrypoints(&self) -> MutexGuard<'_, HashMap<ImageId, Arc<[String]>>> {
        self.entrypoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn pull(
        self: Arc<Self>,
        reference: &str,
    ) -> Result<BoxStream<'static, Result<String, EngineError>>, EngineError> {
        if self.image(reference).await?.is_some() {
            return Ok(stream::empty().boxed());
        }
        self.fetch(reference).await
    }

    pub(super) async fn fetch(
        self: Arc<Self>,
        reference: &str,
    ) -> Result<BoxStream<'static, Result<String, EngineError>>, EngineError> {
        let docker = self.connection.patient_client(PULL_ANSWER_LIMIT).await?;
        let reference = with_tag(reference);
        let feed = |lines: tokio::sync::mpsc::Sender<_>| async move {
            let options = CreateImageOptionsBuilder::default()
                .from_image(&reference)
                .build();
            let mut answers = whole(docker.create_image(Some(options), None, None)).boxed();
            let mut progress = PullProgress::default();
            while let Some(answer) = answers.next().await {
                let line = match answer {
                    Ok(info) => progress.line(info).map(Ok),
                    Err(error) => Some(Err(self.not_pulled(error, &reference))),
                };
                if let Some(line) = line {
                    let is_last = line.is_err();
                    if lines.send(line).await.is_err() || is_last {
                        return;
                    }
                }
            }
        };
        Ok(TaskStream::spawn(16, feed).boxed())
    }

    /// Whatever a registry says, to us it means that the image is not to be had.
    fn not_pulled(&self, error: Error, reference: &str) -> EngineError {
        let (status, said) = match error {
            Error::DockerResponseServerError {
                status_code,
                message,
            } => (status_code, message),
            Error::DockerStreamError { error } => (404, error),
            error => return self.connection.error(error, About::Image(reference)),
        };
        match refusal(status, said, About::Image(reference)) {
            EngineError::Refused { said } => EngineError::ImageMissing {
                image: reference.to_owned(),
                said,
            },
            other => other,
        }
    }

    pub(super) async fn prune_images(
        &self,
        app: &AppName,
        keep: &[ImageId],
    ) -> Result<usize, EngineError> {
        let is_old = |id: &str| !keep.iter().any(|kept| kept.as_str() == id);
        Ok(self.remove_images_that(app, is_old).await?.len())
    }

    /// The images of this installation, of one app or of all. Podman (4.3) finds none by more labels than one.
    pub(super) async fn our_images(
        &self,
        docker: &Docker,
        app: Option<&AppName>,
    ) -> Result<Vec<ImageSummary>, Error> {
        let options = ListImagesOptionsBuilder::default()
            .filters(&labels::filter(&[(labels::INSTANCE, &self.instance)]))
            .build();
        let mut images = docker.list_images(Some(options)).await?;
        images.retain(|image| {
            let has = |label, value| image.labels.get(label).is_some_and(|found| found == value);
            has(labels::KIND, Kind::Image.as_str())
                && app.is_none_or(|app| has(labels::APP, app.as_str()))
        });
        Ok(images)
    }

    /// Removes the images of an app that `is_wanted` chooses by their ids, and gives those that are gone.
    pub(super) async fn remove_images_that(
        &self,
        app: &AppName,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<ImageId>, EngineError> {
        let docker = self.connection.client().await?;
        let images = self.our_images(&docker, Some(app)).await;
        let images = images.map_err(|error| self.connection.error(error, About::Call))?;
        let mut removed = Vec::new();
        let mut sources = BTreeSet::new();
        for image in images.iter().filter(|image| is_wanted(&image.id)) {
            if self.remove_image(&docker, app, image).await? {
                removed.extend(image.id.parse::<ImageId>());
                sources.extend(image.labels.get(labels::SOURCE).cloned());
            }
        }
        self.release_sources(&docker, sources).await?;
        Ok(removed)
    }

    /// Takes our tags off an image, which removes it with the last one. Not done by force: an image that a container
    /// still uses stays, and so does one that somebody has given a tag of their own.
    async fn remove_image(
        &self,
        docker: &Docker,
        app: &AppName,
        image: &ImageSummary,
    ) -> Result<bool, EngineError> {
        let ours = format!("mini/{app}:");
        let tags: Vec<&str> = image
            .repo_tags
            .iter()
            .map(String::as_str)
            .filter(|tag| *tag != "<none>:<none>")
            .collect();
        if tags.iter().any(|tag| !familiar(tag).starts_with(&ours)) {
            return Ok(false);
        }
        let names = if tags.is_empty() {
            vec![image.id.as_str()]
        } else {
            tags
        };
        for name in names {
            match docker
                .remove_image(name, None::<RemoveImageOptions>, None)
                .await
            {
                Ok(_) => {}
                Err(error) if is_not_found(&error) => {}
                Err(error) if is_conflict(&error) => return Ok(false),
                Err(error) => return Err(self.connection.error(error, About::Image(name))),
            }
        }
        Ok(true)
    }
}

fn entrypoint_of(image: &ImageInspect) -> Arc<[String]> {
    let config = image.config.as_ref();
    config
        .and_then(|config| config.entrypoint.as_deref())
        .unwrap_or_default()
        .into()
}

fn facts(image: ImageInspect) -> Option<ImageFacts> {
    let config = image.config.unwrap_or_default();
    let mut exposed_ports: Vec<u16> = config
        .exposed_ports
        .iter()
        .flatten()
        .filter_map(|port| match port.split_once('/') {
            Some((number, "tcp")) => number.parse().ok(),
            None => port.parse().ok(),
            Some(_) => None,
        })
        .collect();
    exposed_ports.sort_unstable();
    exposed_ports.dedup();
    let is_given = |words: Option<Vec<String>>| words.is_some_and(|words| !words.is_empty());
    Some(ImageFacts {
        id: image.id?.parse().ok()?,
        exposed_ports,
        has_command: is_given(config.cmd) || is_given(config.entrypoint),
        size_bytes: u64::try_from(image.size.unwrap_or_default()).unwrap_or_default(),
        digests: image.repo_digests.unwrap_or_default(),
    })
}

/// A name as it is typed: Podman says the registry of every name, and `localhost` where an archive had none.
pub(super) fn familiar(name: &str) -> &str {
    ["docker.io/library/", "docker.io/", "localhost/"]
        .iter()
        .find_map(|registry| name.strip_prefix(registry))
        .unwrap_or(name)
}

/// A reference with a tag: without one, the API fetches every tag there is.
pub(super) fn with_tag(reference: &str) -> String {
    let name = reference.rsplit('/').next().unwrap_or(reference);
    if name.contains([':', '@']) {
        reference.to_owned()
    } else {
        format!("{reference}:latest")
    }
}

/// Makes a few lines of the many that a registry's answer has.
#[derive(Default)]
struct PullProgress {
    layers: usize,
    complete: usize,
}

impl PullProgress {
    fn line(&mut self, info: CreateImageInfo) -> Option<String> {
        let status = info.status?;
        match (status.as_str(), info.id) {
            ("Pulling fs layer", _) => {
                self.layers += 1;
                None
            }
            ("Already exists", _) => None,
            ("Pull complete", _) => {
                self.complete += 1;
                Some(format!(
                    "layer {} of {} is here",
                    self.complete,
                    self.layers.max(self.complete)
                ))
            }
            (status, None) => Some(plain(status)),
            (status, Some(tag)) if status.starts_with("Pulling from") => {
                Some(format!("{status}:{tag}"))
            }
            // Downloading, extracting, verifying: many a second and for each layer.
            (_, Some(_)) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_without_tag_gets_one() {
        for (reference, expected) in [
            ("node", "node:latest"),
            ("host:5000/node", "host:5000/node:latest"),
            ("node:22", "node:22"),
            ("node@sha256:1", "node@sha256:1"),
        ] {
            assert_eq!(with_tag(reference), expected);
        }
    }

    #[test]
    fn a_name_is_known_without_the_registry_that_podman_adds() {
        for (name, expected) in [
            ("docker.io/mini/shop:1", "mini/shop:1"),
            ("docker.io/library/debian:12", "debian:12"),
            ("localhost/shop:1", "shop:1"),
            ("localhost:5000/mini/shop:1", "localhost:5000/mini/shop:1"),
            (
                "registry.example.com/mini/shop:1",
                "registry.example.com/mini/shop:1",
            ),
        ] {
            assert_eq!(familiar(name), expected);
        }
    }

    #[test]
    fn a_pull_is_told_in_few_lines() {
        let mut progress = PullProgress::default();
        let mut said = Vec::new();
        for (status, id) in [
            ("Pulling from library/node", Some("22")),
            ("Pulling fs layer", Some("a")),
            ("Downloading", Some("a")),
            ("Download complete", Some("a")),
            ("Pull complete", Some("a")),
            ("Status: Downloaded newer image for node:22", None),
        ] {
            said.extend(progress.line(CreateImageInfo {
                id: id.map(str::to_owned),
                status: Some(status.to_owned()),
                ..CreateImageInfo::default()
            }));
        }
        assert_eq!(
            said,
            [
                "Pulling from library/node:22",
                "layer 1 of 1 is here",
                "Status: Downloaded newer image for node:22"
            ]
        );
    }
}
