//! `domains:add-global`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{GlobalDomains, followed, typed_base};
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{DomainName, Permission, Problem};

/// Let every app answer at its name in front of more domains
///
/// Their DNS records, `*.DOMAIN`, must point to this server.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddGlobal {
    /// The domains
    #[arg(required = true, value_name = "DOMAIN", value_parser = typed_base)]
    pub domains: Vec<DomainName>,
}

impl Command for AddGlobal {
    type Output = GlobalDomains;

    fn permission(&self) -> Permission {
        Permission::Administer
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<GlobalDomains, Problem> {
        for domain in &self.domains {
            let is_new = !platform.facts.base_domains.contains(domain)
                && platform.store.add_global_domain(domain).await?;
            let said = if is_new {
                format!("Added {domain} to the global domains")
            } else {
                format!("Skipping: {domain} is a global domain already")
            };
            dialog.header(said).await;
        }
        followed(platform).await
    }
}
