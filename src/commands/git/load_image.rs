//! `git:load-image`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::Given;
use super::archive::{Expected, Incoming};
use super::given::follow;
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::deploy::GivenImage;
use crate::model::{AppName, ImageName, Permission, Problem};

/// Deploy an image that is sent along: docker save shop:1 | ssh mini git:load-image blog shop:1
///
/// Reads from standard input what `docker save` writes, packed by gzip, bzip2 or xz or not. Of the archive only the image of
/// that name is kept, under a name of mini's own: no other name on the server stands for another image afterwards. Nothing is
/// built; what runs and where it listens is as with `git:from-image`.
///
/// No registry has such an image, and it is not part of backups: after a restore on another machine it has to be sent again,
/// which `doctor` and `ps:report` say then.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadImage {
    /// The app
    pub app: AppName,
    /// The image as it was saved: its name, or its id where it has none
    pub image: ImageName,
}

impl Command for LoadImage {
    type Output = Given;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    fn needs_stream(&self) -> Option<&'static str> {
        Some("it reads the image from standard input")
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Given, Problem> {
        let line = format!(
            "docker save {} | ssh mini git:load-image {} {}",
            self.image, self.app, self.image
        );
        let expected = Expected {
            what: "docker save IMAGE",
            line: &line,
            is_zip_read: false,
        };
        let incoming = Incoming::begin(platform, dialog, expected).await?;
        dialog
            .header(format!("Loading the image {}", self.image))
            .await;
        let archive = incoming.into_stream(platform.deploys.clone());
        let kept = platform.engine.load(archive, self.image.as_str()).await?;
        let image = GivenImage {
            with: "git:load-image",
            name: self.image,
            from: kept.name,
        };
        let deploys = &platform.deploys;
        let attached = deploys
            .give_image(&self.app, dialog.caller(), image)
            .await?;
        follow(platform, dialog, &self.app, attached).await
    }
}
