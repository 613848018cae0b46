//! `ports:set`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Mapped, Ports, sorted, tell_addresses};
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{AppName, Permission, PortMapping, Problem};

/// Let an app answer at these ports of the server and no other of its own
///
/// Its former ports are closed: requests in flight there finish. At 80 and 443 it answers with or without a mapping; see
/// `help ports:add`.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// The app
    pub app: AppName,
    /// The ports, such as http:8080:5000 or https:8443:5000
    #[arg(required = true, value_name = "SCHEME:HOST-PORT:CONTAINER-PORT")]
    pub ports: Vec<PortMapping>,
}

impl Command for Set {
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
        let after = sorted(self.ports);
        let answer = mapped.change(dialog, after.clone()).await?;
        let shown: Vec<String> = after.iter().map(PortMapping::to_string).collect();
        dialog
            .header(format!("Set {} for {}", shown.join(" "), app.name))
            .await;
        tell_addresses(platform, dialog, app, &after).await?;
        Ok(answer)
    }
}
