//! `docker-options:add`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::option::{BUILD, BuildOption, build_option};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, BuildSecretId, ConfigKey, Kind, Permission, Problem};

/// Give the builds of an app an argument or a secret: docker-options:add blog build "--build-arg KEY=VALUE"
///
/// An argument: a Dockerfile of the app's own sees it where it says ARG KEY; one that mini writes declares it while it
/// builds. It is not in the environment of the processes, and it is in the history of the image, so it must not be a
/// secret.
///
/// A secret: "--secret id=NPM_TOKEN" takes its value from the config var of that name at each build, and
/// "--secret id=npmrc,env=NPMRC" from another one. A Dockerfile of the app's own mounts it where it is needed: RUN
/// --mount=type=secret,id=NPM_TOKEN puts it into the file /run/secrets/NPM_TOKEN. One that mini writes has it in the
/// environment of each step that installs or builds, where npm (through .npmrc), pip, uv, Bundler, Composer, Cargo and
/// Go look for their variables; the ids npmrc, netrc and pip.conf are the files of these names. It is in no layer and no
/// history of the image, and where a step prints it, the output has ******** instead.
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
    #[serde(flatten)]
    option: AddedOption,
}

/// The option, by its fields.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum AddedOption {
    Argument {
        name: ConfigKey,
        value: String,
    },
    Secret {
        secret: BuildSecretId,
        env: ConfigKey,
    },
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
        let store = &platform.store;
        let option = match build_option(&self.phase, &self.option)? {
            BuildOption::Argument(name, Some(value)) => {
                store
                    .set_build_argument(app.id, name.clone(), value.clone())
                    .await?;
                AddedOption::Argument { name, value }
            }
            BuildOption::Argument(name, None) => {
                return Err(Problem::new(
                    Kind::Invalid,
                    format!("The build argument {name} was not set"),
                    "it has no value, and there is no environment it could be taken from",
                    format!("Give one: \"--build-arg {name}=VALUE\""),
                ));
            }
            BuildOption::Secret(secret, Some(env)) => {
                store
                    .set_build_secret(app.id, secret.clone(), env.clone())
                    .await?;
                AddedOption::Secret { secret, env }
            }
            BuildOption::Secret(secret, None) => {
                return Err(Problem::new(
                    Kind::Invalid,
                    format!("The build secret {secret} was not set"),
                    "no config var can have this name, so there is nothing to take its value from",
                    format!("Name one: \"--secret id={secret},env=KEY\""),
                ));
            }
        };
        Ok(Added {
            app: app.name.clone(),
            phase: BUILD,
            option,
        })
    }
}

impl Output for Added {
    fn print(&self, page: &mut Page) {
        let app = &self.app;
        match &self.option {
            AddedOption::Argument { name, .. } => {
                page.header(format!("Added --build-arg {name} to the builds of {app}"));
            }
            AddedOption::Secret { secret, env } => {
                page.header(format!("Added --secret id={secret} to the builds of {app}"));
                page.detail(format!("Its value is that of the config var {env}"));
            }
        }
    }
}
