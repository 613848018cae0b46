//! `git:from-image`

use clap::Args;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::Given;
use super::given::follow;
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::deploy::GivenImage;
use crate::engine::{EngineError, ImageFacts};
use crate::model::{AppName, ImageName, Kind, Permission, Problem};

/// Deploy an image that is in a registry, or on the server already: git:from-image blog nginx:alpine
///
/// Nothing is built. The image is fetched, and deployed as a push is: checked before it gets requests, with the config vars
/// of the app, and a release to roll back to. Its process type is `web`, which runs the command of the image; it listens on
/// the config var PORT, else on the port of a mapping of 80 or 443 (`ports:add`), else on the one port that the image exposes.
///
/// What is deployed is the content that the name stands for now, recorded by its digest in a commit of the app: a name that
/// moves on changes nothing until the command is run again, and does nothing when it is the same still. An image that only
/// the server has, such as one that was built there, is taken from there.
///
/// mini keeps no passwords of registries. Of a private one, fetch the image on the server first (`docker login`, `docker
/// pull`), or send it: docker save IMAGE | ssh mini git:load-image APP IMAGE.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FromImage {
    /// The app
    pub app: AppName,
    /// The image, such as nginx:alpine or registry.example.com/team/shop@sha256:...
    pub image: ImageName,
}

impl Command for FromImage {
    type Output = Given;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Given, Problem> {
        let facts = found(platform, dialog, &self.image).await?;
        let from = match self.image.pinned(&facts.digests) {
            Some(pinned) => pinned,
            // No registry has it, so a build finds it by a name that does not move.
            None => platform.engine.keep(&facts.id).await?.name,
        };
        let image = GivenImage {
            with: "git:from-image",
            name: self.image,
            from,
        };
        let deploys = &platform.deploys;
        let attached = deploys
            .give_image(&self.app, dialog.caller(), image)
            .await?;
        follow(platform, dialog, &self.app, attached).await
    }
}

/// The image, from the registry where it answers, else from the server.
async fn found(
    platform: &Platform,
    dialog: &mut Dialog,
    image: &ImageName,
) -> Result<ImageFacts, Problem> {
    let engine = &platform.engine;
    let name = image.as_str();
    let here = engine.image(name).await?;
    if let Some(facts) = &here
        && image.digest().is_some()
    {
        return Ok(facts.clone());
    }
    dialog.header(format!("Fetching the image {image}")).await;
    let fetched = tokio::select! {
        fetched = fetch(platform, dialog, name) => fetched,
        () = dialog.gone() => return Err(left()),
    };
    match (fetched, here) {
        (Ok(()), _) => {
            let facts = engine.image(name).await?;
            facts.ok_or_else(|| not_to_be_had(image, "it was removed from Docker just now"))
        }
        (Err(EngineError::ImageMissing { said, .. }), Some(facts)) => {
            dialog
                .warning(format!(
                    "It could not be fetched ({said}): the image of that name on the server is taken"
                ))
                .await;
            Ok(facts)
        }
        (Err(EngineError::ImageMissing { said, .. }), None) => Err(not_to_be_had(image, &said)),
        (Err(error), _) => Err(error.into()),
    }
}

async fn fetch(platform: &Platform, dialog: &Dialog, name: &str) -> Result<(), EngineError> {
    let mut lines = platform.engine.fetch(name).await?;
    while let Some(line) = lines.next().await {
        dialog.detail(line?).await;
    }
    Ok(())
}

fn not_to_be_had(image: &ImageName, said: &str) -> Problem {
    Problem::new(
        Kind::AppFailed,
        format!("The image {image} is not on the server and could not be fetched"),
        said,
        "Check its name. Of a private registry, fetch it on the server with `docker pull`, or send it: `docker save IMAGE | ssh mini git:load-image APP IMAGE`",
    )
}

fn left() -> Problem {
    Problem::new(
        Kind::Canceled,
        "You left before the image was here",
        "",
        "Run the command again",
    )
}
