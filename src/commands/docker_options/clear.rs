//! `docker-options:clear`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::option::{Phases, phases};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, ContainerPhase, Permission, Problem};

/// Take all options from the builds and the containers of an app, or from those of one phase
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clear {
    /// The app
    pub app: AppName,
    /// The phase: build, deploy, run, or several with commas; all when it is not given
    #[serde(default)]
    pub phase: Option<String>,
}

/// How many there were.
#[derive(Debug, Serialize)]
pub struct Cleared {
    app: AppName,
    removed: usize,
    /// None where it was all of them.
    phase: Option<String>,
}

impl Command for Clear {
    type Output = Cleared;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Cleared, Problem> {
        let app = authorized.app()?;
        let named = match &self.phase {
            Some(names) => Some(phases(names)?),
            None => None,
        };
        let store = &platform.store;
        let mut removed = 0;
        if matches!(named, None | Some(Phases::Build)) {
            removed += store.remove_build_arguments(app.id, None).await?;
            removed += store.remove_build_secrets(app.id, None).await?;
        }
        let containers = match named {
            None => ContainerPhase::ALL.to_vec(),
            Some(Phases::Build) => Vec::new(),
            Some(Phases::Containers(phases)) => phases,
        };
        for phase in containers {
            removed += store.remove_container_options(app.id, phase, None).await?;
        }
        Ok(Cleared {
            app: app.name.clone(),
            removed,
            phase: self.phase,
        })
    }
}

impl Output for Cleared {
    fn print(&self, page: &mut Page) {
        page.header(match &self.phase {
            None => format!("Cleared all options of {}", self.app),
            Some(phase) => format!("Cleared the options of {} ({phase})", self.app),
        });
    }
}
