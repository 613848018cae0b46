//! `domains:add`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::typed;
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{App, AppName, DomainName, Kind, Permission, Problem};
use crate::store::StoreError;

/// Let an app answer at more host names
///
/// They work as soon as their DNS records point to this server. `*.example.com` stands for any one label.
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
                    platform.reconciler.wake();
                    return Err(taken(&domain, by.as_ref()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        // Whoever is told that a domain was added may ask for it at once.
        platform.reconciler.wait_for(|_| true).await;
        Ok(answer)
    }
}

/// `shop.example.com` belongs to the app `shop` where `example.com` is a base domain.
async fn refuse_address_of_other_app(
    platform: &Platform,
    app: &App,
    domain: &DomainName,
) -> Result<(), Problem> {
    for base in &platform.facts.base_domains {
        let owner = domain
            .as_str()
            .strip_suffix(base.as_str())
            .and_then(|rest| rest.strip_suffix('.'))
            .and_then(|name| name.parse::<AppName>().ok());
        if let Some(owner) = owner
            && owner != app.name
            && platform.store.app(&owner).await?.is_some()
        {
            return Err(taken(domain, Some(&owner)));
        }
    }
    Ok(())
}

fn taken(domain: &DomainName, by: Option<&AppName>) -> Problem {
    let (why, next) = match by {
        Some(by) => (
            format!("it belongs to the app {by}"),
            format!("Remove it there first: `domains:remove {by} {domain}`"),
        ),
        None => (String::new(), String::new()),
    };
    Problem::new(Kind::Taken, format!("{domain} is already taken"), why, next)
}

impl Output for Added {
    fn print(&self, _page: &mut Page) {}
}
