//! `docker-options:list`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::option::phase;
use super::options_of;
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Permission, Problem};

/// List the options of the builds of an app, one on each line
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// The app
    pub app: AppName,
    /// The phase: build
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
        if let Some(name) = &self.phase {
            phase(name)?;
        }
        Ok(Options(options_of(platform, authorized.app()?).await?))
    }
}

impl Output for Options {
    fn print(&self, page: &mut Page) {
        for option in &self.0 {
            page.line(option);
        }
    }
}
