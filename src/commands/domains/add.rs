//! `domains:add`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{refuse_address_of_other_app, taken, typed};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, DomainName, Permission, Problem};
use crate::store::StoreError;

/// Let an app answer at more host names
///
/// They work as soon as their DNS records point to this server. `*.example.com` stands for any one label in front of
/// `example.com`, except for names that some app has for its own.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// The app
    pub app: AppName,
    /// The host names
    #[arg(required = true, value_name = "DOMAIN", value_parser = typed)]
    pub domains: Vec<DomainName>,
}

/// What was added.
#[derive(Debug, Serialize)]
pub struct Added {
    app: AppName,
    added: Vec<DomainName>,
    skipped: Vec<DomainName>,
}

impl Command for Add {
    type Output = Added;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Added, Problem> {
        let app = authorized.app()?;
        for domain in &self.domains {
            refuse_address_of_other_app(platform, app, domain).await?;
        }
        let mut answer = Added {
            app: app.name.clone(),
            added: Vec::new(),
            skipped: Vec::new(),
        };
        for domain in self.domains {
            match platform.store.add_domain(app.id, &domain).await {
                Ok(true) => {
                    dialog
                        .header(format!("Added {domain} to {}", app.name))
                        .await;
                    answer.added.push(domain);
                }
                Ok(false) => {
                    dialog
                        .header(format!("Skipping: {domain} already added to {}", app.name))
                        .await;
                    answer.skipped.push(domain);
                }
                Err(StoreError::Taken { by, .. }) => {
                    return Err(taken(domain.as_str(), by.as_ref()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        // Whoever is told that a domain was added may ask for it at once.
        platform.reconciler.wait_for(|_| true).await;
        Ok(answer)
    }
}

impl Output for Added {
    fn print(&self, _page: &mut Page) {}
}
