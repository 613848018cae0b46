//! `redirects:unset`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::command::Done;
use crate::commands::domains::typed_address;
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{Address, AppName, Kind, Permission, Problem};

/// No longer send visitors of an address elsewhere
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unset {
    /// The app
    pub app: AppName,
    /// What is redirected, as `redirects:report` shows it
    #[arg(value_parser = typed_address)]
    pub source: Address,
}

impl Command for Unset {
    type Output = Done;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Done, Problem> {
        let app = authorized.app()?;
        if !platform.store.remove_redirect(app.id, &self.source).await? {
            return Err(Problem::new(
                Kind::NotFound,
                format!("{} has no redirect from {}", app.name, self.source),
                "",
                format!("See `redirects:report {}` for those it has", app.name),
            ));
        }
        platform.reconciler.wait_for(|_| true).await;
        dialog
            .header(format!(
                "Removed the redirect of {} from {}",
                app.name, self.source
            ))
            .await;
        Ok(Done::new())
    }
}
