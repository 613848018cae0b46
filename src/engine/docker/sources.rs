//! Images that come whole: out of an archive, or from a registry. They are nobody's until an app's image is built of them, so
//! they get a name of ours until then, and lose it with the last image of that kind.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{
    ImportImageOptions, ListImagesOptionsBuilder, RemoveImageOptions, TagImageOptionsBuilder,
};
use futures_util::{StreamExt, TryStreamExt};

use super::Inner;
use super::errors::{About, is_conflict, is_not_found, plain};
use super::images::{familiar, with_tag};
use super::json_lines::whole;
use super::labels;
use crate::engine::{ContextStream, EngineError, KEPT_PREFIX, KeptImage};
use crate::model::ImageId;

/// How long an archive may take on its way: Docker answers only when it has all of it.
const ARCHIVE_LIMIT: Duration = Duration::from_secs(12 * 3600);
/// How many digits of an id are in a name: as many as no other image shares by chance.
const DIGITS: usize = 32;
/// How many names of an archive are told.
const SHOWN: usize = 5;

/// What Docker says that it has loaded: the name of an image, or the id of one without.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Loaded {
    Name(String),
    Id(String),
}

impl Inner {
    pub(super) async fn keep(&self, image: &ImageId) -> Result<KeptImage, EngineError> {
        let docker = self.connection.client().await?;
        let digits = image.as_str().trim_start_matches("sha256:");
        let tag = digits.get(..DIGITS).unwrap_or(digits);
        let repository = format!("{KEPT_PREFIX}{}", self.instance.to_ascii_lowercase());
        self.tag(&docker, image.as_str(), &repository, tag).await?;
        Ok(KeptImage {
            id: image.clone(),
            name: format!("{repository}:{tag}"),
        })
    }

    async fn tag(
        &self,
        docker: &Docker,
        image: &str,
        repository: &str,
        tag: &str,
    ) -> Result<(), EngineError> {
        let options = TagImageOptionsBuilder::default()
            .repo(repository)
            .tag(tag)
            .build();
        docker
            .tag_image(image, Some(options))
            .await
            .map_err(|error| self.connection.error(error, About::Image(image)))
    }

    pub(super) async fn load(
        &self,
        archive: ContextStream,
        wanted: &str,
    ) -> Result<KeptImage, EngineError> {
        let _alone = self.loading.lock().await;
        let docker = self.connection.client().await?;
        let before = self.names(&docker).await?;
        let loaded = self.import(archive).await?;
        let kept = self.keep_wanted(&docker, &loaded, wanted).await;
        let kept_id = kept.as_ref().ok().map(|kept| kept.id.as_str());
        // Also where that failed. Taken away by its id, an image loses the one name it has.
        let others = loaded
            .iter()
            .filter(|one| !matches!(one, Loaded::Id(id) if Some(id.as_str()) == kept_id));
        for one in others {
            self.put_back(&docker, one, &before).await?;
        }
        kept
    }

    /// What every name stands for; ids stand for themselves.
    async fn names(&self, docker: &Docker) -> Result<HashMap<String, String>, EngineError> {
        let options = ListImagesOptionsBuilder::default().build();
        let images = docker.list_images(Some(options)).await;
        let images = images.map_err(|error| self.connection.error(error, About::Call))?;
        let mut names = HashMap::new();
        for image in images {
            for tag in image.repo_tags {
                names.insert(tag, image.id.clone());
            }
            names.insert(image.id.clone(), image.id);
        }
        Ok(names)
    }

    async fn import(&self, archive: ContextStream) -> Result<Vec<Loaded>, EngineError> {
        let docker = self.connection.patient_client(ARCHIVE_LIMIT).await?;
        let unread = Arc::new(Mutex::new(None));
        let noted = Arc::clone(&unread);
        let archive = archive.inspect_err(move |error| {
            *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        });
        let options = ImportImageOptions {
            quiet: true,
            ..ImportImageOptions::default()
        };
        let body = bollard::body_try_stream(archive);
        let mut answers = whole(docker.import_image(options, body, None)).boxed();
        let mut loaded = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(info) => {
                    loaded.extend(
                        info.stream
                            .iter()
                            .flat_map(|text| text.lines())
                            .flat_map(read),
                    );
                }
                Err(error) => {
                    let unread = unread.lock().unwrap_or_else(PoisonError::into_inner).take();
                    return Err(match unread {
                        Some(why) => EngineError::Archive { why },
                        None => self.not_loaded(error),
                    });
                }
            }
        }
        Ok(loaded)
    }

    /// Docker has its own way to say that it was given something else.
    fn not_loaded(&self, error: Error) -> EngineError {
        match self.connection.error(error, About::Call) {
            EngineError::Refused { said } => EngineError::Archive {
                why: what_is_wrong(&said),
            },
            other => other,
        }
    }

    async fn keep_wanted(
        &self,
        docker: &Docker,
        loaded: &[Loaded],
        wanted: &str,
    ) -> Result<KeptImage, EngineError> {
        let name = with_tag(wanted);
        let found = loaded.iter().find_map(|one| match one {
            Loaded::Name(loaded) if familiar(loaded) == familiar(&name) => Some(loaded),
            Loaded::Id(id) if is_id(id, wanted) => Some(id),
            Loaded::Name(_) | Loaded::Id(_) => None,
        });
        let Some(found) = found else {
            return Err(EngineError::Archive {
                why: without(wanted, loaded),
            });
        };
        let image = docker.inspect_image(found).await;
        let image = image.map_err(|error| self.connection.error(error, About::Image(found)))?;
        let id = image.id.and_then(|id| id.parse().ok());
        let id: ImageId = id.ok_or_else(|| EngineError::Refused {
            said: format!("the image {found} has no id"),
        })?;
        self.keep(&id).await
    }

    /// Makes a name stand for what it stood for before; one that is new is taken away, and what nothing else names with it.
    async fn put_back(
        &self,
        docker: &Docker,
        loaded: &Loaded,
        before: &HashMap<String, String>,
    ) -> Result<(), EngineError> {
        let (Loaded::Name(name) | Loaded::Id(name)) = loaded;
        let Some(id) = before.get(name) else {
            return self.untag(docker, name).await;
        };
        match (loaded, name.rsplit_once(':')) {
            (Loaded::Name(_), Some((repository, tag))) => {
                self.tag(docker, id, repository, tag).await
            }
            (Loaded::Name(_), None) | (Loaded::Id(_), _) => Ok(()),
        }
    }

    async fn untag(&self, docker: &Docker, name: &str) -> Result<(), EngineError> {
        match docker
            .remove_image(name, None::<RemoveImageOptions>, None)
            .await
        {
            Ok(_) => Ok(()),
            // Gone already, or in use by whoever had it before.
            Err(error) if is_not_found(&error) || is_conflict(&error) => Ok(()),
            Err(error) => Err(self.connection.error(error, About::Image(name))),
        }
    }

    /// Takes our names off the images of which no image of this installation is left.
    pub(super) async fn release_sources(
        &self,
        docker: &Docker,
        sources: BTreeSet<String>,
    ) -> Result<(), EngineError> {
        if sources.is_empty() {
            return Ok(());
        }
        let options = ListImagesOptionsBuilder::default()
            .filters(&labels::filter(&[(labels::INSTANCE, &self.instance)]))
            .build();
        let left = docker.list_images(Some(options)).await;
        let left = left.map_err(|error| self.connection.error(error, About::Call))?;
        let needed: BTreeSet<&String> = left
            .iter()
            .filter_map(|image| image.labels.get(labels::SOURCE))
            .collect();
        for source in &sources {
            if source.starts_with(KEPT_PREFIX) && !needed.contains(source) {
                self.untag(docker, source).await?;
            }
        }
        Ok(())
    }
}

/// A line of the answer: `Loaded image: shop:1`, `Loaded image ID: sha256:...`; Podman has all names in one, with commas between.
fn read(line: &str) -> Vec<Loaded> {
    let line = line.trim();
    if let Some(id) = line.strip_prefix("Loaded image ID: ") {
        return vec![Loaded::Id(id.to_owned())];
    }
    let names = line.strip_prefix("Loaded image: ").into_iter();
    let names = names.flat_map(|names| names.split(','));
    names.map(|name| Loaded::Name(name.to_owned())).collect()
}

/// Whether `wanted` is the beginning of an id, as `docker images` shows it, or the whole.
fn is_id(id: &str, wanted: &str) -> bool {
    let digits = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    let is_hex = digits.len() >= 12 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex && id.trim_start_matches("sha256:").starts_with(digits)
}

fn without(wanted: &str, loaded: &[Loaded]) -> String {
    let names: Vec<&str> = loaded
        .iter()
        .take(SHOWN)
        .map(|one| match one {
            Loaded::Name(name) => name.as_str(),
            Loaded::Id(id) => id.get(..19).unwrap_or(id),
        })
        .collect();
    let more = match loaded.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match names.as_slice() {
        [] => "there is no image in it".to_owned(),
        names => format!("it holds {}{more}, and not {wanted}", names.join(", ")),
    }
}

/// 20.10 to 28 look for `manifest.json`, then for what the oldest form had, and name the first file that they miss.
fn what_is_wrong(said: &str) -> String {
    if said.contains("/docker-import-") && said.contains("no such file") {
        "it is a tar archive, but none with images: `manifest.json` is not in it".to_owned()
    } else if said.contains("unexpected EOF") {
        "it ends too early".to_owned()
    } else {
        format!("Docker cannot read it: {}", plain(said))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_names_what_was_loaded() {
        let said = "Loaded image: shop:1,localhost/blog:1\nLoaded image ID: sha256:12ab\nother\n";
        let loaded: Vec<Loaded> = said.lines().flat_map(read).collect();
        assert_eq!(
            loaded,
            [
                Loaded::Name("shop:1".to_owned()),
                Loaded::Name("localhost/blog:1".to_owned()),
                Loaded::Id("sha256:12ab".to_owned())
            ]
        );
        assert_eq!(
            without("shop:2", &loaded),
            "it holds shop:1, localhost/blog:1, sha256:12ab, and not shop:2"
        );
        assert_eq!(without("shop:2", &[]), "there is no image in it");
    }

    #[test]
    fn an_image_without_a_name_is_chosen_by_its_id() {
        let id = format!("sha256:{}", "0123456789ab".repeat(5));
        for (wanted, expected) in [
            ("0123456789ab", true),
            (id.as_str(), true),
            ("0123456789", false),
            ("0123456789cc", false),
            ("shop:1", false),
        ] {
            assert_eq!(is_id(&id, wanted), expected, "{wanted}");
        }
    }

    #[test]
    fn what_docker_says_of_other_archives_is_told_in_words() {
        for (said, expected) in [
            (
                "open /var/lib/docker/tmp/docker-import-1/repositories: no such file or directory",
                "it is a tar archive, but none with images: `manifest.json` is not in it",
            ),
            (
                "open /tmp/x/tmp/docker-import-2572601502/img/json: no such file or directory",
                "it is a tar archive, but none with images: `manifest.json` is not in it",
            ),
            (
                "Error processing tar file(exit status 1): unexpected EOF",
                "it ends too early",
            ),
            ("something new", "Docker cannot read it: something new"),
        ] {
            assert_eq!(what_is_wrong(said), expected);
        }
    }
}
