//! `redirects:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::table::{lines, row};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{Address, AppName, Permission, Problem};

/// List the redirects of an app, or of all apps
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The app; all of them when it is not given
    pub app: Option<AppName>,
}

/// Redirects, by app and source.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Redirects(Vec<Line>);

#[derive(Debug, Serialize)]
struct Line {
    app: AppName,
    source: Address,
    destination: String,
    code: u16,
}

impl Command for Report {
    type Output = Redirects;

    fn permission(&self) -> Permission {
        Permission::to_read(self.app.as_ref())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Redirects, Problem> {
        let asked = match &self.app {
            Some(_) => vec![authorized.app()?.clone()],
            None => authorized.visible_apps(platform).await?,
        };
        let mut all = Vec::new();
        for app in asked {
            for redirect in platform.store.redirects(app.id).await? {
                all.push(Line {
                    app: app.name.clone(),
                    source: redirect.address,
                    destination: redirect.to.to_string(),
                    code: redirect.code,
                });
            }
        }
        Ok(Redirects(all))
    }
}

impl Output for Redirects {
    fn print(&self, page: &mut Page) {
        let mut rows = vec![row(["APP", "SOURCE", "DESTINATION", "CODE"])];
        rows.extend(self.0.iter().map(|line| {
            vec![
                line.app.to_string(),
                line.source.to_string(),
                line.destination.clone(),
                line.code.to_string(),
            ]
        }));
        for line in lines(&rows) {
            page.line(line);
        }
    }
}
