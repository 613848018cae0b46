//! `ports:remove`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Mapped, Ports};
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{AppName, Permission, PortChoice, PortMapping, Problem};

/// Close ports of the server to an app
///
/// A port that no other app has is closed at once: requests in flight there finish, upgraded connections have the drain
/// time. Without a mapping of 80 or 443 the web processes listen on the port that their image says.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// The app
    pub app: AppName,
    /// The ports: 8080, or a whole mapping such as http:8080:5000
    #[arg(required = true, value_name = "PORT")]
    pub ports: Vec<PortChoice>,
}

impl Command for Remove {
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
        let is_meant = |mapping: &PortMapping| self.ports.iter().any(|it| it.is_for(*mapping));
        let (removed, after): (Vec<PortMapping>, Vec<PortMapping>) =
            mapped.before.iter().partition(|mapping| is_meant(mapping));
        let answer = mapped.change(dialog, after).await?;
        for mapping in &removed {
            dialog
                .header(format!("Removed {mapping} from {}", app.name))
                .await;
        }
        for choice in &self.ports {
            if !removed.iter().any(|mapping| choice.is_for(*mapping)) {
                dialog
                    .header(format!("Skipping: {choice} is not a port of {}", app.name))
                    .await;
            }
        }
        Ok(answer)
    }
}
