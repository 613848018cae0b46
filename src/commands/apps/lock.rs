//! `apps:lock`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Permission, Problem, Timestamp};

/// Let an app take no new source: pushes, git:* and ps:rebuild are refused until `apps:unlock`
///
/// What is deployed runs on, and may be configured, scaled, restarted and rolled back. A deploy that is going on goes on. The
/// lock outlives restarts of the server.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The app
    pub app: AppName,
}

/// The app is locked.
#[derive(Debug, Serialize)]
pub struct Locked {
    /// Whether it was not before.
    is_new: bool,
}

impl Command for Lock {
    type Output = Locked;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Locked, Problem> {
        let app = authorized.app()?;
        let locked = platform
            .store
            .lock_app(app.id, authorized.actor(), Timestamp::now());
        Ok(Locked {
            is_new: locked.await?,
        })
    }
}

impl Output for Locked {
    fn print(&self, page: &mut Page) {
        page.header(match self.is_new {
            true => "Deploy lock created",
            false => "Skipping: a deploy lock is in place already",
        });
    }
}
