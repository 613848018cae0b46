//! `domains:clear-global`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{GlobalDomains, followed};
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{Permission, Problem};

/// Remove all domains in front of which every app answers
///
/// Those from the settings of the server stay.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClearGlobal {}

impl Command for ClearGlobal {
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
        platform.store.set_global_domains(&[]).await?;
        dialog.header("Cleared the global domains").await;
        if !platform.facts.base_domains.is_empty() {
            let stay: Vec<String> = platform
                .facts
                .base_domains
                .iter()
                .map(ToString::to_string)
                .collect();
            dialog
                .detail(format!(
                    "From the settings of the server stays {}",
                    stay.join(" ")
                ))
                .await;
        }
        followed(platform).await
    }
}
