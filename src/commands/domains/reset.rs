//! `domains:reset`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::OwnDomains;
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{AppName, Permission, Problem};

/// Let an app answer at its name in front of the server's domains, and at no other
///
/// Its own domains go.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// The app
    pub app: AppName,
}

impl Command for Reset {
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
        platform.store.clear_domains(app.id, true).await?;
        platform.reconciler.wait_for(|_| true).await;
        dialog
            .header(format!("Reset domains in {}", app.name))
            .await;
        Ok(OwnDomains {
            app: app.name.clone(),
            domains: Vec::new(),
        })
    }
}
