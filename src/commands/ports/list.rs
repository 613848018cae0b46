//! `ports:list`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::table::{lines, row};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Permission, PortScheme, Problem};

/// List the ports of the server that were given to an app
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// The app
    pub app: AppName,
}

/// Port mappings, by their port of the host.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Mappings {
    #[serde(skip)]
    app: String,
    list: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    scheme: PortScheme,
    host_port: u16,
    container_port: u16,
}

impl Command for List {
    type Output = Mappings;

    fn permission(&self) -> Permission {
        Permission::ReadApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Mappings, Problem> {
        let app = authorized.app()?;
        let mappings = platform.store.ports(app.id).await?.into_iter();
        Ok(Mappings {
            app: app.name.to_string(),
            list: mappings
                .map(|mapping| Line {
                    scheme: mapping.scheme,
                    host_port: mapping.host_port,
                    container_port: mapping.container_port,
                })
                .collect(),
        })
    }
}

impl Output for Mappings {
    fn print(&self, page: &mut Page) {
        let app = &self.app;
        if self.list.is_empty() {
            page.warning(format!(
                "No port mappings configured for {app}: it answers at the server's own ports"
            ));
            return;
        }
        page.header(format!("Port mappings for {app}"));
        let mut rows = vec![row(["scheme", "host port", "container port"])];
        rows.extend(self.list.iter().map(|line| {
            vec![
                line.scheme.to_string(),
                line.host_port.to_string(),
                line.container_port.to_string(),
            ]
        }));
        for line in lines(&rows) {
            page.detail(line);
        }
    }
}
