//! `ports:add`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Mapped, Ports, sorted, tell_addresses};
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{AppName, Permission, PortMapping, Problem};

/// Let an app answer at more ports of the server
///
/// `http:8080:5000` opens port 8080 of the server for HTTP and leads it to port 5000 of the web processes. What is asked
/// for is told apart by the host, as on port 80, so several apps may share a port; where a port has one app alone, that
/// app answers for every other host as well, and so under the bare address of the server. `https:8443:5000` speaks TLS
/// with the certificates of the app. A port with http is never redirected to HTTPS; but browsers that have been to the
/// HTTPS of the same host may be told to use that alone (`proxy:set APP hsts off`).
///
/// The app answers at 80 and 443 without being told. Mappings of these two say which port its web processes listen on:
/// with `http:80:3000` they get PORT=3000, and are deployed again if they run with another. The check of a deploy is
/// about this port only; whether anything listens on the other container ports is seen by whoever visits them.
///
/// Open the port in a firewall in front of the server, too.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// The app
    pub app: AppName,
    /// The ports, such as http:8080:5000 or https:8443:5000
    #[arg(required = true, value_name = "SCHEME:HOST-PORT:CONTAINER-PORT")]
    pub ports: Vec<PortMapping>,
}

impl Command for Add {
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
        let asked = sorted(self.ports);
        let after = sorted([mapped.before.as_slice(), &asked].concat());
        let answer = mapped.change(dialog, after).await?;
        let mut added = Vec::new();
        for mapping in asked {
            if mapped.before.contains(&mapping) {
                dialog
                    .header(format!("Skipping: {mapping} already added to {}", app.name))
                    .await;
            } else {
                dialog
                    .header(format!("Added {mapping} to {}", app.name))
                    .await;
                added.push(mapping);
            }
        }
        tell_addresses(platform, dialog, app, &added).await?;
        Ok(answer)
    }
}
