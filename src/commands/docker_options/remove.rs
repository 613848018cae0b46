//! `docker-options:remove`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::option::{BuildOption, build_option};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, BuildSecretId, ConfigKey, Kind, Permission, Problem};

/// Take an argument or a secret from the builds of an app: docker-options:remove blog build "--build-arg KEY"
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
    #[serde(flatten)]
    option: RemovedOption,
}

/// The option, by its name.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum RemovedOption {
    #[serde(rename = "name")]
    Argument(ConfigKey),
    Secret(BuildSecretId),
}

impl RemovedOption {
    fn what(&self) -> String {
        match self {
            Self::Argument(name) => format!("build argument {name}"),
            Self::Secret(id) => format!("build secret {id}"),
        }
    }
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
        let store = &platform.store;
        let (removed, option) = match build_option(&self.phase, &self.option)? {
            BuildOption::Argument(name, _) => (
                store
                    .remove_build_arguments(app.id, Some(name.clone()))
                    .await?,
                RemovedOption::Argument(name),
            ),
            BuildOption::Secret(id, _) => (
                store.remove_build_secrets(app.id, Some(id.clone())).await?,
                RemovedOption::Secret(id),
            ),
        };
        if removed == 0 {
            return Err(Problem::new(
                Kind::NotFound,
                format!("{} has no {}", app.name, option.what()),
                "",
                format!("See `docker-options:report {}`", app.name),
            ));
        }
        Ok(Removed {
            app: app.name.clone(),
            option,
        })
    }
}

impl Output for Removed {
    fn print(&self, page: &mut Page) {
        let option = match &self.option {
            RemovedOption::Argument(name) => format!("--build-arg {name}"),
            RemovedOption::Secret(id) => format!("--secret id={id}"),
        };
        page.header(format!("Removed {option} from the builds of {}", self.app));
    }
}
