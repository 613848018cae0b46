//! `urls`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Authorized, Command, Dialog, Output, Page, Platform, ports};
use crate::model::{App, AppName, Permission, Problem};

/// Print all addresses of an app
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Urls {
    /// The app
    pub app: AppName,
}

/// Addresses, the one to show first first.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Addresses(Vec<String>);

impl Command for Urls {
    type Output = Addresses;

    fn permission(&self) -> Permission {
        Permission::ReadApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Addresses, Problem> {
        Ok(Addresses(of(platform, authorized.app()?).await?))
    }
}

/// The addresses of an app, the one to show first first.
pub(super) async fn of(platform: &Platform, app: &App) -> Result<Vec<String>, Problem> {
    let exposure = platform.store.exposure(app.id).await?;
    let mut urls = platform.reconciler.urls(&app.name, &exposure);
    let names = platform.reconciler.host_names(&app.name, &exposure);
    urls.extend(ports::urls(platform, app, &names).await?);
    Ok(urls)
}

impl Output for Addresses {
    fn print(&self, page: &mut Page) {
        for address in &self.0 {
            page.line(address);
        }
    }
}
