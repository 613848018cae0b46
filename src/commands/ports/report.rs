//! `ports:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::Platform;
use crate::commands::report::{self, OfEachApp};
use crate::model::{App, AppName, DEFAULT_PORT, PortMapping, Problem};

/// Report the ports of an app, or of all apps, and why one is not open
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The app; all of them when it is not given
    pub app: Option<AppName>,
    /// One key of the report, such as --ports-map, to see its value only
    #[arg(allow_hyphen_values = true, value_name = "--KEY")]
    pub flag: Option<String>,
}

impl OfEachApp for Report {
    const TOPIC: &'static str = "ports";

    fn app(&self) -> Option<&AppName> {
        self.app.as_ref()
    }

    fn flag(&self) -> Option<&str> {
        self.flag.as_deref()
    }

    async fn of(platform: &Platform, app: &App) -> Result<report::Report, Problem> {
        let reconciler = &platform.reconciler;
        let mappings = platform.store.ports(app.id).await?;
        let exposure = platform.store.exposure(app.id).await?;
        let release = match app.current {
            Some(version) => platform.store.release(app.id, version).await?,
            None => None,
        };
        let mut report = report::Report::new(&app.name);
        let shown: Vec<String> = mappings.iter().map(PortMapping::to_string).collect();
        report.fact("ports-map", shown.join(" "));

        let mapped = reconciler.rules().standard.container_port(&mappings);
        let port = release.map(|release| release.port).or(mapped);
        let port = port.unwrap_or(DEFAULT_PORT);
        let mut own = vec![format!("http:80:{port}")];
        let names = reconciler.host_names(&app.name, &exposure);
        if names.iter().any(|name| reconciler.has_https(name)) {
            own.push(format!("https:443:{port}"));
        }
        let own = if exposure.is_public {
            own.join(" ")
        } else {
            String::new()
        };
        report.fact("ports-map-detected", own);

        let view = reconciler.view();
        let closed = view.borrow().closed_ports.clone();
        let standard = &reconciler.rules().standard;
        let closed: Vec<String> = mappings
            .iter()
            .filter(|mapping| !standard.has(**mapping))
            .filter_map(|mapping| {
                let port = mapping.host_port;
                if !exposure.is_public {
                    return Some(format!(
                        "{port} (visitors do not reach the app: `domains:enable`)"
                    ));
                }
                closed.get(&port).map(|why| format!("{port} ({why})"))
            })
            .collect();
        report.fact("ports-closed", closed.join(", "));
        Ok(report)
    }
}
