//! `ports:clear`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Mapped, Ports};
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{AppName, Permission, Problem};

/// Remove all ports of an app; it still answers at 80 and 443
///
/// Those that no other app has are closed: requests in flight there finish.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clear {
    /// The app
    pub app: AppName,
}

impl Command for Clear {
    type Output = Ports;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Ports, Problem> {
        let mapped = Mapped::of(platform, authorized).await?;
        let app = mapped.app;
        let answer = mapped.change(dialog, Vec::new()).await?;
        dialog
            .header(format!("Cleared ports of {}", app.name))
            .await;
        Ok(answer)
    }
}
