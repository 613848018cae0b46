//! A build that changes nothing gives the image that was there before. To Docker it is another one, because its label names
//! another release; to whoever goes back to "the release with another image" it must not be.

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ImageConfig, ImageInspect};
use bollard::query_parameters::{RemoveImageOptions, TagImageOptionsBuilder};

use super::Inner;
use super::labels;
use crate::engine::BuildSpec;
use crate::model::ImageId;

impl Inner {
    /// An image of the app that was there before and differs from `built` in the release alone, which gets the tag of this
    /// build; else `built`. Where Docker cannot say, that is what the build has made too.
    pub(super) async fn settled(&self, spec: &BuildSpec, built: ImageId) -> ImageId {
        match self.older(spec, &built).await {
            Ok(older) => older.unwrap_or(built),
            Err(why) => {
                tracing::debug!(app = %spec.app, image = %built, %why, "older images could not be compared");
                built
            }
        }
    }

    async fn older(&self, spec: &BuildSpec, built: &ImageId) -> Result<Option<ImageId>, String> {
        // The runtime is that of the build.
        let docker = self.connection.client_apart().await;
        let docker = docker.map_err(|error| error.to_string())?;
        let found = self.equal_to(&docker, spec, built).await;
        let Some(older) = found.map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let (repository, tag) = spec.tag.rsplit_once(':').unwrap_or((&spec.tag, "latest"));
        let options = TagImageOptionsBuilder::default()
            .repo(repository)
            .tag(tag)
            .build();
        let tagged = docker.tag_image(older.as_str(), Some(options)).await;
        tagged.map_err(|error| error.to_string())?;
        // It has lost its only name. What stays of it for any reason goes with the next images that are put away.
        let removed = docker.remove_image(built.as_str(), None::<RemoveImageOptions>, None);
        if let Err(error) = removed.await {
            tracing::debug!(image = %built, %error, "an image that is there already was not removed");
        }
        Ok(Some(older))
    }

    async fn equal_to(
        &self,
        docker: &Docker,
        spec: &BuildSpec,
        built: &ImageId,
    ) -> Result<Option<ImageId>, Error> {
        let content = content(docker.inspect_image(built.as_str()).await?);
        for image in self.our_images(docker, Some(&spec.app)).await? {
            if image.id != built.as_str()
                && content == self::content(docker.inspect_image(&image.id).await?)
                && let Ok(older) = image.id.parse()
            {
                return Ok(Some(older));
            }
        }
        Ok(None)
    }
}

/// What an image is: its layers, and how it is run, but for the release it was built for.
#[derive(Debug, PartialEq)]
struct Content {
    layers: Vec<String>,
    config: Option<ImageConfig>,
    machine: (Option<String>, Option<String>, Option<String>),
}

fn content(image: ImageInspect) -> Content {
    let mut config = image.config;
    if let Some(config) = &mut config {
        if let Some(labels) = &mut config.labels {
            labels.remove(labels::RELEASE);
        }
        // Docker gives them as a map, of which the library makes a list in any order.
        for unordered in [&mut config.exposed_ports, &mut config.volumes] {
            unordered.iter_mut().for_each(|names| names.sort());
        }
    }
    let layers = image.root_fs.and_then(|files| files.layers);
    Content {
        layers: layers.unwrap_or_default(),
        config,
        machine: (image.os, image.architecture, image.variant),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::ImageInspectRootFs;

    fn image(release: &str, app: &str, layers: &[&str], command: &str) -> ImageInspect {
        ImageInspect {
            id: Some(format!("sha256:{release}")),
            config: Some(ImageConfig {
                cmd: Some(vec![command.to_owned()]),
                labels: Some(
                    [(labels::RELEASE, release), (labels::APP, app)]
                        .map(|(key, value)| (key.to_owned(), value.to_owned()))
                        .into(),
                ),
                ..ImageConfig::default()
            }),
            root_fs: Some(ImageInspectRootFs {
                layers: Some(layers.iter().map(|layer| (*layer).to_owned()).collect()),
                ..ImageInspectRootFs::default()
            }),
            ..ImageInspect::default()
        }
    }

    #[test]
    fn only_the_release_may_differ() {
        let first = || content(image("1", "shop", &["a", "b"], "serve"));
        assert_eq!(first(), content(image("2", "shop", &["a", "b"], "serve")));
        for other in [
            image("1", "blog", &["a", "b"], "serve"),
            image("1", "shop", &["a"], "serve"),
            image("1", "shop", &["a", "b"], "work"),
        ] {
            assert_ne!(first(), content(other));
        }
        let exposing = |ports: [&str; 2]| {
            let mut image = image("1", "shop", &["a"], "serve");
            if let Some(config) = &mut image.config {
                config.exposed_ports = Some(ports.map(str::to_owned).to_vec());
            }
            content(image)
        };
        assert_eq!(
            exposing(["80/tcp", "443/tcp"]),
            exposing(["443/tcp", "80/tcp"])
        );
    }
}
