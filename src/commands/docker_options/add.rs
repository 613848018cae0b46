//! `docker-options:add`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::option::{BuildOption, Phases, build_option, container_option, phases};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{
    App, AppName, BuildSecretId, Caller, ConfigKey, ContainerOption, ContainerPhase, Kind,
    Permission, Problem,
};

/// Give the builds or the containers of an app an option: docker-options:add blog build "--build-arg KEY=VALUE"
///
/// The phase build takes arguments and secrets, and deploy (the processes, and what is run once in a deploy) and run (`run`)
/// take what containers have: deploy,run is both.
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
///
/// Containers: --memory, --cpus, --cpu-shares, --shm-size, --ulimit, --tmpfs, --add-host, --dns, --hostname, --label, --user,
/// --workdir, --stop-signal, --read-only, in force from the next start of a process on (`ps:restart`). What gives an app a part
/// of the host is added on the server itself alone, with `sudo mini`: --privileged, --cap-add, --device, --volume.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// The app
    pub app: AppName,
    /// The phase: build, deploy, run, or several with commas
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
    phase: String,
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
    Container {
        option: ContainerOption,
        /// Whether something runs without it.
        #[serde(skip)]
        is_deployed: bool,
    },
}

impl Command for Add {
    type Output = Added;

    fn permission(&self) -> Permission {
        match self.is_dangerous() {
            true => Permission::Administer,
            false => Permission::ChangeApp(self.app.clone()),
        }
    }

    fn further_permission(&self) -> Option<Permission> {
        self.is_dangerous()
            .then(|| Permission::ChangeApp(self.app.clone()))
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Added, Problem> {
        let app = match self.is_dangerous() {
            true => authorized.further_app()?,
            false => authorized.app()?,
        };
        let store = &platform.store;
        let phases = phases(&self.phase)?;
        if let Phases::Containers(all) = &phases {
            let option = container_option(&self.option)?;
            if option.is_dangerous() && *dialog.caller() != Caller::Console {
                return Err(only_on_the_server(app, &phases, &option));
            }
            for phase in all {
                store
                    .add_container_option(app.id, *phase, option.clone())
                    .await?;
            }
            return Ok(Added {
                app: app.name.clone(),
                phase: phases.text(),
                option: AddedOption::Container {
                    option,
                    is_deployed: app.current.is_some() && all.contains(&ContainerPhase::Deploy),
                },
            });
        }
        let option = match build_option(&self.option)? {
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
            phase: phases.text(),
            option,
        })
    }
}

impl Add {
    /// Whether it is an option that gives the app a part of the host. One that cannot be read is refused later.
    fn is_dangerous(&self) -> bool {
        matches!(phases(&self.phase), Ok(Phases::Containers(_)))
            && container_option(&self.option).is_ok_and(|option| option.is_dangerous())
    }
}

/// Whoever may push to an app that has a part of the host has that part, too: no key gives it.
fn only_on_the_server(app: &App, phases: &Phases, option: &ContainerOption) -> Problem {
    Problem::new(
        Kind::Forbidden,
        format!("{option} was not added to the containers of {}", app.name),
        "it gives the app a part of the host, and so everybody who may push to it: no SSH key is enough for that",
        format!(
            "On the server itself: sudo mini docker-options:add {} {} \"{option}\"",
            app.name,
            phases.text()
        ),
    )
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
            AddedOption::Container {
                option,
                is_deployed,
            } => {
                page.header(format!(
                    "Added {option} to the containers of {app} ({})",
                    self.phase
                ));
                if *is_deployed {
                    page.detail(format!(
                        "From the next start of a process on: `ps:restart {app}`"
                    ));
                }
            }
        }
    }
}
