//! `routes:remove`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::command::Done;
use crate::commands::domains::typed_address;
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{Address, AppName, Kind, Permission, Problem};

/// Let an address of an app lead to its web processes again
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// The app whose address it is
    pub app: AppName,
    /// The address, as `routes:report` shows it
    #[arg(value_parser = typed_address)]
    pub address: Address,
}

impl Command for Remove {
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
        let removed = platform.store.remove_route(app.id, &self.address).await?;
        if removed.is_none() {
            return Err(Problem::new(
                Kind::NotFound,
                format!("{} has no route for {}", app.name, self.address),
                "",
                format!("See `routes:report {}` for those it has", app.name),
            ));
        }
        platform.reconciler.wait_for(|_| true).await;
        dialog
            .header(format!(
                "Removed the route of {} for {}",
                app.name, self.address
            ))
            .await;
        Ok(Done::new())
    }
}
