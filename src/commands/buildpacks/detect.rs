//! `buildpacks:detect`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::detected::Detected;
use super::of_app;
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{AppName, Permission, Problem};

/// Say what an app is and how it is built and run; build nothing
///
/// Looks at the deployed commit with the settings of today. The `mini` program looks at a folder in the same way, without
/// a server: `mini buildpacks:detect DIR`.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detect {
    /// The app
    pub app: AppName,
    /// Print all that was found as one JSON object; the same as --format json
    #[arg(long)]
    #[serde(default)]
    pub json: bool,
}

impl Command for Detect {
    type Output = Detected;

    fn permission(&self) -> Permission {
        Permission::ReadApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Detected, Problem> {
        let found = of_app(platform, authorized.app()?).await?;
        Ok(Detected::new(found, self.json))
    }
}
