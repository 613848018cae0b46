//! `docker-options:remove`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::option::{BuildOption, Phases, build_option, container_option, one, phases};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{
    App, AppName, BuildSecretId, ConfigKey, ContainerPhase, Kind, Permission, Problem,
};

/// Take an option from the builds or the containers of an app: docker-options:remove blog build "--build-arg KEY"
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// The app
    pub app: AppName,
    /// The phase: build, deploy, run, or several with commas
    pub phase: String,
    /// The option; of builds its value does not matter
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
    #[serde(rename = "option")]
    Container(String),
}

impl RemovedOption {
    fn what(&self) -> String {
        match self {
            Self::Argument(name) => format!("build argument {name}"),
            Self::Secret(id) => format!("build secret {id}"),
            Self::Container(option) => format!("option {option}"),
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
        let (removed, option) = match phases(&self.phase)? {
            Phases::Containers(phases) => {
                let (removed, option) =
                    from_containers(platform, app, &phases, &self.option).await?;
                (removed, RemovedOption::Container(option))
            }
            Phases::Build => match build_option(&self.option)? {
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
            },
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

/// Removes an option of containers; one that does not read by its very text. Returns how many there were, and which.
async fn from_containers(
    platform: &Platform,
    app: &App,
    phases: &[ContainerPhase],
    typed: &[String],
) -> Result<(usize, String), Problem> {
    let known = container_option(typed).map(|option| option.to_string());
    let very_text = one(typed)?;
    let mut removed = 0;
    for text in known.iter().chain([&very_text]) {
        for phase in phases {
            removed += platform
                .store
                .remove_container_options(app.id, *phase, Some(text.clone()))
                .await?;
        }
        if removed > 0 {
            return Ok((removed, text.clone()));
        }
    }
    known.map(|option| (0, option))
}

impl Output for Removed {
    fn print(&self, page: &mut Page) {
        let option = match &self.option {
            RemovedOption::Argument(name) => format!("--build-arg {name}"),
            RemovedOption::Secret(id) => format!("--secret id={id}"),
            RemovedOption::Container(option) => option.clone(),
        };
        let from = match &self.option {
            RemovedOption::Argument(_) | RemovedOption::Secret(_) => "builds",
            RemovedOption::Container(_) => "containers",
        };
        page.header(format!("Removed {option} from the {from} of {}", self.app));
    }
}
