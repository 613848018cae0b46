//! `apps:exists`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Permission, Problem};

/// Answer by exit status whether an app exists: 0 if it does, 20 if not
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exists {
    /// The app
    pub app: AppName,
}

/// The app exists.
#[derive(Debug, Serialize)]
pub struct Existing {
    exists: bool,
}

impl Command for Exists {
    type Output = Existing;

    fn permission(&self) -> Permission {
        Permission::ReadApp(self.app.clone())
    }

    async fn run(
        self,
        _platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Existing, Problem> {
        authorized.app()?;
        Ok(Existing { exists: true })
    }
}

impl Output for Existing {
    fn print(&self, _page: &mut Page) {}
}
