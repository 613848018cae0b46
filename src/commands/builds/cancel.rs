//! `builds:cancel`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, DeployId, Kind, Permission, Problem};

/// Stop the build and deploy of an app that is going on, and the one that waits behind it
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// The app
    pub app: AppName,
}

/// What was stopped.
#[derive(Debug, Serialize)]
pub struct Canceled {
    canceled: Vec<DeployId>,
}

impl Command for Cancel {
    type Output = Canceled;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Canceled, Problem> {
        let app = authorized.app()?;
        let canceled = platform.deploys.cancel(&app.name).await?;
        if canceled.is_empty() {
            return Err(Problem::new(
                Kind::NotFound,
                format!("No build of {} is going on", app.name),
                "",
                "",
            ));
        }
        Ok(Canceled { canceled })
    }
}

impl Output for Canceled {
    fn print(&self, page: &mut Page) {
        for id in &self.canceled {
            page.header(format!("Canceled build {id}"));
        }
    }
}
