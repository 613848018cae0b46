//! `routes:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::table::{lines, row};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{Address, AppName, Permission, Problem, ProcessType};

/// List the routes of an app's addresses, or of all apps
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The app; all of them when it is not given
    pub app: Option<AppName>,
}

/// Routes, by app and address.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Routes(Vec<Line>);

#[derive(Debug, Serialize)]
struct Line {
    app: AppName,
    address: Address,
    to: AppName,
    process_type: ProcessType,
    strip: bool,
}

impl Command for Report {
    type Output = Routes;

    fn permission(&self) -> Permission {
        Permission::to_read(self.app.as_ref())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Routes, Problem> {
        let visible = authorized.visible_apps(platform).await?;
        let name_of = |id| visible.iter().find(|app| app.id == id).map(|app| &app.name);
        let asked = match &self.app {
            Some(_) => vec![authorized.app()?.clone()],
            None => visible.clone(),
        };
        let mut all = Vec::new();
        for app in asked {
            for route in platform.store.routes(app.id).await? {
                let Some(to) = name_of(route.to) else {
                    continue;
                };
                all.push(Line {
                    app: app.name.clone(),
                    address: route.address,
                    to: to.clone(),
                    process_type: route.process_type,
                    strip: route.is_stripped,
                });
            }
        }
        Ok(Routes(all))
    }
}

impl Output for Routes {
    fn print(&self, page: &mut Page) {
        let mut rows = vec![row(["APP", "ADDRESS", "LEADS TO", "PROCESS", "STRIPPED"])];
        rows.extend(self.0.iter().map(|line| {
            vec![
                line.app.to_string(),
                line.address.to_string(),
                line.to.to_string(),
                line.process_type.to_string(),
                if line.strip { "yes" } else { "no" }.to_owned(),
            ]
        }));
        for line in lines(&rows) {
            page.line(line);
        }
    }
}
