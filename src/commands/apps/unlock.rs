//! `apps:unlock`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Permission, Problem};

/// Let an app take new source again
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unlock {
    /// The app
    pub app: AppName,
}

/// The app is not locked.
#[derive(Debug, Serialize)]
pub struct Unlocked {
    /// Whether it was before.
    was_locked: bool,
}

impl Command for Unlock {
    type Output = Unlocked;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Unlocked, Problem> {
        let app = authorized.app()?;
        Ok(Unlocked {
            was_locked: platform.store.unlock_app(app.id).await?,
        })
    }
}

impl Output for Unlocked {
    fn print(&self, page: &mut Page) {
        page.header(match self.was_locked {
            true => "Deploy lock removed",
            false => "Skipping: there is no deploy lock",
        });
    }
}
