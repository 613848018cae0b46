//! `docker-options:add`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::option::{BUILD, build_argument};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, ConfigKey, Kind, Permission, Problem};

/// Give the builds of an app an argument: docker-options:add blog build "--build-arg KEY=VALUE"
///
/// A Dockerfile of the app's own sees it where it says ARG KEY; one that mini writes declares it while it builds. It is
/// not in the environment of the processes, and it is in the history of the image, so it must not be a secret.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// The app
    pub app: AppName,
    /// The phase: build
    pub phase: String,
    /// The option
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "OPTION"
    )]
    pub option: Vec<String>,
}

/// What was added.
#[derive(Debug, Serialize)]
pub struct Added {
    app: AppName,
    phase: &'static str,
    name: ConfigKey,
    value: String,
}

impl Command for Add {
    type Output = Added;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Added, Problem> {
        let app = authorized.app()?;
        let (name, value) = build_argument(&self.phase, &self.option)?;
        let Some(value) = value else {
            return Err(Problem::new(
                Kind::Invalid,
                format!("The build argument {name} was not set"),
                "it has no value, and there is no environment it could be taken from",
                format!("Give one: \"--build-arg {name}=VALUE\""),
            ));
        };
        platform
            .store
            .set_build_argument(app.id, name.clone(), value.clone())
            .await?;
        Ok(Added {
            app: app.name.clone(),
            phase: BUILD,
            name,
            value,
        })
    }
}

impl Output for Added {
    fn print(&self, page: &mut Page) {
        page.header(format!(
            "Added --build-arg {} to the builds of {}",
            self.name, self.app
        ));
    }
}
