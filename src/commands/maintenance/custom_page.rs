//! `maintenance:custom-page`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::html_page::{self, Given};
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{AppName, PageName, Permission, Problem};

/// Give an app a page of its own for maintenance
///
/// The page is read from standard input: HTML, or a tar with a file maintenance.html in it. It is one file, so styles and
/// pictures have to be in it: mini maintenance:custom-page APP < page.html
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomPage {
    /// The app
    pub app: AppName,
    /// Take the page away, and have mini's own again
    #[arg(long)]
    #[serde(default)]
    pub remove: bool,
    /// The page, where standard input is not at hand (HTTP)
    #[arg(skip)]
    #[serde(default)]
    pub html: Option<String>,
}

impl Command for CustomPage {
    type Output = Given;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Given, Problem> {
        let html = match self.remove {
            true => None,
            false => Some(html_page::read(self.html, dialog).await?),
        };
        html_page::set(platform, authorized.app()?, PageName::Maintenance, html).await
    }
}
