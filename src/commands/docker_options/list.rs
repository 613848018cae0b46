//! `docker-options:list`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::option::{BUILD, Phases, phases};
use super::{options_of, options_of_containers};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Permission, Problem};

/// List the options of the builds or the containers of an app, one on each line
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// The app
    pub app: AppName,
    /// The phase: build, deploy or run; build when it is not given
    #[serde(default)]
    pub phase: Option<String>,
}

/// The options as they are typed.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Options(Vec<String>);

impl Command for List {
    type Output = Options;

    fn permission(&self) -> Permission {
        Permission::ReadApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Options, Problem> {
        let app = authorized.app()?;
        let phases = phases(self.phase.as_deref().unwrap_or(BUILD))?;
        let mut options = Vec::new();
        match phases {
            Phases::Build => options.extend(options_of(platform, app).await?),
            Phases::Containers(phases) => {
                for phase in phases {
                    options.extend(options_of_containers(platform, app, phase).await?);
                }
            }
        }
        Ok(Options(options))
    }
}

impl Output for Options {
    fn print(&self, page: &mut Page) {
        for option in &self.0 {
            page.line(option);
        }
    }
}
