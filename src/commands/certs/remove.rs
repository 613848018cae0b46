//! `certs:remove`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::none;
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, CertificateOrigin, Permission, Problem};

/// Remove the certificates that were added or generated for an app
///
/// Those that mini ordered go as well where certs:auto is off for the app; where it is on, they would be ordered anew.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// The app
    pub app: AppName,
}

/// What was removed.
#[derive(Debug, Serialize)]
pub struct Removed {
    app: AppName,
    removed: usize,
}

impl Command for Remove {
    type Output = Removed;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Removed, Problem> {
        let app = authorized.app()?;
        let mut origins = vec![CertificateOrigin::Custom, CertificateOrigin::SelfSigned];
        // Else they would be ordered anew.
        if !platform.store.automatic_certificates().await?.is_on(app.id) {
            origins.push(CertificateOrigin::Acme);
        }
        let removed = platform.store.remove_certificates(app.id, origins).await?;
        if removed == 0 {
            return Err(none(&app.name));
        }
        // By the time the caller is told, no visitor is shown it any more.
        platform.reconciler.wait_for(|_| true).await;
        dialog
            .header(format!("Removed the certificate of {}", app.name))
            .await;
        Ok(Removed {
            app: app.name.clone(),
            removed,
        })
    }
}

impl Output for Removed {
    fn print(&self, _page: &mut Page) {}
}
