//! `docker-options:clear`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::option::phase;
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Permission, Problem};

/// Take all arguments and secrets from the builds of an app
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clear {
    /// The app
    pub app: AppName,
    /// The phase: build
    #[serde(default)]
    pub phase: Option<String>,
}

/// How many there were.
#[derive(Debug, Serialize)]
pub struct Cleared {
    app: AppName,
    removed: usize,
}

impl Command for Clear {
    type Output = Cleared;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Cleared, Problem> {
        let app = authorized.app()?;
        if let Some(name) = &self.phase {
            phase(name)?;
        }
        let arguments = platform.store.remove_build_arguments(app.id, None).await?;
        let secrets = platform.store.remove_build_secrets(app.id, None).await?;
        Ok(Cleared {
            app: app.name.clone(),
            removed: arguments + secrets,
        })
    }
}

impl Output for Cleared {
    fn print(&self, page: &mut Page) {
        page.header(format!("Cleared the options of the builds of {}", self.app));
    }
}
