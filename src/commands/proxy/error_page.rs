//! `proxy:error-page`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::html_page::{self, Given};
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{AppName, Kind, PageName, Permission, Problem};

/// Give an app a page of its own for when it cannot be reached
///
/// The page is read from standard input: mini proxy:error-page APP 502 < page.html. It is one file of HTML, so styles and
/// pictures have to be in it; {{status}} in it is replaced by the status. It stands in for the pages of mini, never for
/// what the app answers itself; programs that ask for JSON still get JSON.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorPage {
    /// The app
    pub app: AppName,
    /// The status: 401, 403, 404, 413, 429, 502, 503 or 504
    pub status: u16,
    /// Take the page away, and have mini's own again
    #[arg(long)]
    #[serde(default)]
    pub remove: bool,
    /// The page, where standard input is not at hand (HTTP)
    #[arg(skip)]
    #[serde(default)]
    pub html: Option<String>,
}

impl Command for ErrorPage {
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
        let name: PageName = self.status.to_string().parse().map_err(|_| {
            let statuses: Vec<String> = PageName::STATUSES.iter().map(u16::to_string).collect();
            Problem::new(
                Kind::Invalid,
                format!("mini has no page for status {}", self.status),
                "pages of an app stand in for those of mini, and there are none with this status",
                format!("Choose one of {}", statuses.join(", ")),
            )
        })?;
        let html = match self.remove {
            true => None,
            false => Some(html_page::read(self.html, dialog).await?),
        };
        html_page::set(platform, authorized.app()?, name, html).await
    }
}
