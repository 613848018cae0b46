//! `checks:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::Platform;
use crate::commands::report::{self, OfEachApp};
use crate::model::{App, AppName, Check, CheckKind, Problem, ProcessType, Release};

/// Report the checks of an app, or of all apps
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The app; all of them when it is not given
    pub app: Option<AppName>,
    /// One key of the report, such as --checks-web, to see its value only
    #[arg(allow_hyphen_values = true, value_name = "--KEY")]
    pub flag: Option<String>,
}

impl OfEachApp for Report {
    const TOPIC: &'static str = "checks";

    fn app(&self) -> Option<&AppName> {
        self.app.as_ref()
    }

    fn flag(&self) -> Option<&str> {
        self.flag.as_deref()
    }

    async fn of(platform: &Platform, app: &App) -> Result<report::Report, Problem> {
        let release = match app.current {
            Some(version) => platform.store.release(app.id, version).await?,
            None => None,
        };
        let mut report = report::Report::new(&app.name);
        report.fact("checks-disabled-list", "none");
        report.fact("checks-skipped-list", "none");
        let routed = platform.store.routed_types(app.id).await?;
        for (key, text) in release.iter().flat_map(|release| checks(release, &routed)) {
            report.fact(&key, text);
        }
        Ok(report)
    }
}

/// One fact for each process type of a release.
fn checks(release: &Release, routed: &[ProcessType]) -> Vec<(String, String)> {
    release
        .processes
        .keys()
        .map(|process_type| {
            let declared = release
                .checks
                .get(process_type)
                .map_or(&[][..], Vec::as_slice);
            let text = if !declared.is_empty() {
                let each: Vec<String> = declared
                    .iter()
                    .map(|c| described(c, release.port))
                    .collect();
                each.join("; ")
            } else if process_type.is_web() || routed.contains(process_type) {
                format!("listens on port {} (default)", release.port)
            } else {
                "stays up (default)".to_owned()
            };
            (format!("checks-{process_type}"), text)
        })
        .collect()
}

fn described(check: &Check, port: u16) -> String {
    let what = match &check.kind {
        CheckKind::Listening => format!("listens on port {port}"),
        CheckKind::Http { path, content, .. } => {
            let content = content
                .as_ref()
                .map(|content| format!(" with {content:?} in it"))
                .unwrap_or_default();
            format!("answers {path}{content}")
        }
        CheckKind::Uptime { duration } => return format!("stays up for {} s", duration.as_secs()),
    };
    format!(
        "{what}, {} tries of {} s, {} s apart",
        check.attempts,
        check.timeout.as_secs(),
        check.wait.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn checks_are_told_in_words() {
        let check = Check {
            kind: CheckKind::Http {
                path: "/health".to_owned(),
                content: Some("ok".to_owned()),
                host: None,
            },
            attempts: 3,
            timeout: Duration::from_secs(5),
            wait: Duration::from_secs(2),
            initial_delay: Duration::ZERO,
        };
        assert_eq!(
            described(&check, 5000),
            "answers /health with \"ok\" in it, 3 tries of 5 s, 2 s apart"
        );
        assert_eq!(
            described(&Check::uptime(Duration::from_secs(5)), 5000),
            "stays up for 5 s"
        );
    }
}
