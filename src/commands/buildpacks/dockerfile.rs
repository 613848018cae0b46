//! `buildpacks:dockerfile`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{of_app, problem};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Permission, Problem};

/// Print the Dockerfile an app is built with: the one mini writes, or the app's own
///
/// To take it home: `mini buildpacks:dockerfile DIR > Dockerfile` does the same for a folder, without a server.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dockerfile {
    /// The app
    pub app: AppName,
}

/// The text.
#[derive(Debug, Serialize)]
pub struct Written {
    dockerfile: String,
    /// The directory it is built in, from the root of the repository.
    context: String,
}

impl Written {
    pub(super) fn of(detection: mini_buildpacks::Detection) -> Self {
        Self {
            dockerfile: detection.dockerfile,
            context: detection.context,
        }
    }
}

impl Command for Dockerfile {
    type Output = Written;

    fn permission(&self) -> Permission {
        Permission::ReadApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Written, Problem> {
        let found = of_app(platform, authorized.app()?).await?;
        found.map(Written::of).map_err(|error| problem(&error))
    }
}

impl Output for Written {
    fn print(&self, page: &mut Page) {
        page.line(self.dockerfile.trim_end_matches('\n'));
    }
}
