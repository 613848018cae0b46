//! `domains:remove`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::typed;
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, DomainName, Permission, Problem};

/// Let an app no longer answer at some host names
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// The app
    pub app: AppName,
    /// The host names
    #[arg(required = true, value_name = "DOMAIN", value_parser = typed)]
    pub domains: Vec<DomainName>,
}

/// What was removed.
#[derive(Debug, Serialize)]
pub struct Removed {
    app: AppName,
    removed: Vec<DomainName>,
    skipped: Vec<DomainName>,
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
        let mut answer = Removed {
            app: app.name.clone(),
            removed: Vec::new(),
            skipped: Vec::new(),
        };
        for domain in self.domains {
            if platform.store.remove_domain(app.id, &domain).await? {
                dialog
                    .header(format!("Removed {domain} from {}", app.name))
                    .await;
                answer.removed.push(domain);
            } else {
                dialog
                    .header(format!(
                        "Skipping: {domain} is not a domain of {}",
                        app.name
                    ))
                    .await;
                answer.skipped.push(domain);
            }
        }
        platform.reconciler.wait_for(|_| true).await;
        Ok(answer)
    }
}

impl Output for Removed {
    fn print(&self, _page: &mut Page) {}
}
