//! `domains:set-global`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{GlobalDomains, followed, typed_base};
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{DomainName, Permission, Problem};

/// Replace the domains in front of which every app answers
///
/// Those from the settings of the server stay.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetGlobal {
    /// The domains
    #[arg(required = true, value_name = "DOMAIN", value_parser = typed_base)]
    pub domains: Vec<DomainName>,
}

impl Command for SetGlobal {
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
        platform.store.set_global_domains(&self.domains).await?;
        let names: Vec<&str> = self.domains.iter().map(DomainName::as_str).collect();
        dialog
            .header(format!("Set {} as global domains", names.join(" ")))
            .await;
        followed(platform).await
    }
}
