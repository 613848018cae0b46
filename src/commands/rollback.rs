//! `rollback`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::command::Done;
use super::{Authorized, Command, Dialog, Platform, progress};
use crate::model::{AppName, Permission, Problem, ReleaseVersion};

/// Make a new release from an old one: its image and its process types, with the config vars of today
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// The app
    pub app: AppName,
    /// The release to go back to, such as v3; the newest with another image when it is not given
    #[serde(default)]
    pub release: Option<ReleaseVersion>,
}

impl Command for Rollback {
    type Output = Done;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Done, Problem> {
        let app = authorized.app()?;
        let attached = platform
            .deploys
            .rollback(&app.name, dialog.caller(), self.release)
            .await?;
        progress::follow(dialog, attached).await?;
        Ok(Done::new())
    }
}
