//! `docker-options:remove`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::option::build_argument;
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, ConfigKey, Kind, Permission, Problem};

/// Take an argument from the builds of an app: docker-options:remove blog build "--build-arg KEY"
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// The app
    pub app: AppName,
    /// The phase: build
    pub phase: String,
    /// The option; its value does not matter
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "OPTION"
    )]
    pub option: Vec<String>,
}

/// What was removed.
#[derive(Debug, Serialize)]
pub struct Removed {
    app: AppName,
    name: ConfigKey,
}

impl Command for Remove {
    type Output = Removed;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Removed, Problem> {
        let app = authorized.app()?;
        let (name, _) = build_argument(&self.phase, &self.option)?;
        let removed = platform
            .store
            .remove_build_arguments(app.id, Some(name.clone()))
            .await?;
        if removed == 0 {
            return Err(Problem::new(
                Kind::NotFound,
                format!("{} has no build argument {name}", app.name),
                "",
                format!("See `docker-options:report {}`", app.name),
            ));
        }
        Ok(Removed {
            app: app.name.clone(),
            name,
        })
    }
}

impl Output for Removed {
    fn print(&self, page: &mut Page) {
        page.header(format!(
            "Removed --build-arg {} from the builds of {}",
            self.name, self.app
        ));
    }
}
