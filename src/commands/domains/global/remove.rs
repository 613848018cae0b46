//! `domains:remove-global`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{GlobalDomains, followed, typed_base};
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{DomainName, Kind, Permission, Problem};

/// Let apps no longer answer at their names in front of some domains
///
/// A domain from the settings of the server can only be taken out there.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveGlobal {
    /// The domains
    #[arg(required = true, value_name = "DOMAIN", value_parser = typed_base)]
    pub domains: Vec<DomainName>,
}

impl Command for RemoveGlobal {
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
            if platform.facts.base_domains.contains(domain) {
                return Err(from_settings(domain));
            }
        }
        for domain in &self.domains {
            let said = if platform.store.remove_global_domain(domain).await? {
                format!("Removed {domain} from the global domains")
            } else {
                format!("Skipping: {domain} is not a global domain")
            };
            dialog.header(said).await;
        }
        followed(platform).await
    }
}

fn from_settings(domain: &DomainName) -> Problem {
    Problem::new(
        Kind::Invalid,
        format!("{domain} cannot be removed by a command"),
        "it is in the settings of the server (`base-domain`)",
        "Take it out of /etc/mini/mini.toml or the server's command line, and restart the server",
    )
}
