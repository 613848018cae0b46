//! `domains:set`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{OwnDomains, refuse_address_of_other_app, taken, typed};
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{AppName, DomainName, Permission, Problem};
use crate::store::StoreError;

/// Let an app answer at these host names and no other
///
/// Its former domains go, and its name in front of the server's domains goes as well; `domains:reset` brings that back.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// The app
    pub app: AppName,
    /// The host names
    #[arg(required = true, value_name = "DOMAIN", value_parser = typed)]
    pub domains: Vec<DomainName>,
}

impl Command for Set {
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
        for domain in &self.domains {
            refuse_address_of_other_app(platform, app, domain).await?;
        }
        match platform.store.set_domains(app.id, &self.domains).await {
            Ok(()) => {}
            Err(StoreError::Taken { name, by }) => return Err(taken(&name, by.as_ref())),
            Err(error) => return Err(error.into()),
        }
        platform.reconciler.wait_for(|_| true).await;
        let names: Vec<&str> = self.domains.iter().map(DomainName::as_str).collect();
        dialog
            .header(format!("Set {} for {}", names.join(" "), app.name))
            .await;
        Ok(OwnDomains {
            app: app.name.clone(),
            domains: self.domains,
        })
    }
}
