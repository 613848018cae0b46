//! `domains:clear`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::OwnDomains;
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{AppName, Permission, Problem};

/// Take all host names from an app
///
/// It answers at no name then, not even at its name in front of the server's domains; `domains:reset` brings that back.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clear {
    /// The app
    pub app: AppName,
}

impl Command for Clear {
    type Output = OwnDomains;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<OwnDomains, Problem> {
        let app = authorized.app()?;
        platform.store.clear_domains(app.id, false).await?;
        platform.reconciler.wait_for(|_| true).await;
        dialog
            .header(format!("Cleared domains in {}", app.name))
            .await;
        Ok(OwnDomains {
            app: app.name.clone(),
            domains: Vec::new(),
        })
    }
}
