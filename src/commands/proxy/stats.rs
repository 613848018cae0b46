//! `proxy:stats`

use std::time::Duration;

use clap::Args;
use mini_proxy::{Histogram, ServiceCounts};
use serde::{Deserialize, Serialize};

use crate::commands::table::{lines, row};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Permission, Problem};

/// Show how many requests an app, or every app, has answered since the server started, and how fast
///
/// Errors are answers of class 5xx, those of mini's own pages included. Half of the requests took at most p50 until the end
/// of their answer; p95 and p99 are the slowest twentieth and hundredth. They are estimates: at worst double or half.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stats {
    /// The app; all of them when it is not given
    #[serde(default)]
    pub app: Option<AppName>,
}

/// Figures by app.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Figures(Vec<AppFigures>);

#[derive(Debug, Serialize)]
struct AppFigures {
    app: AppName,
    requests: u64,
    errors: u64,
    /// Share of the requests, 0 to 1; none while there are none.
    error_share: Option<f64>,
    in_flight: u64,
    retries: u64,
    bytes_in: u64,
    bytes_out: u64,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
}

impl AppFigures {
    fn new(app: AppName, counts: &ServiceCounts) -> Self {
        let [_, _, _, _, errors] = counts.by_class;
        let requests = counts.requests();
        Self {
            app,
            requests,
            errors,
            error_share: (requests > 0).then(|| errors as f64 / requests as f64),
            in_flight: counts.in_flight,
            retries: counts.retries,
            bytes_in: counts.request_bytes,
            bytes_out: counts.response_bytes,
            p50_ms: percentile(&counts.durations, 0.5),
            p95_ms: percentile(&counts.durations, 0.95),
            p99_ms: percentile(&counts.durations, 0.99),
        }
    }
}

/// In milliseconds, to the microsecond.
fn percentile(durations: &Histogram, quantile: f64) -> Option<f64> {
    let micros = |duration: Duration| duration.as_micros() as f64 / 1000.0;
    durations.quantile(quantile).map(micros)
}

impl Command for Stats {
    type Output = Figures;

    fn permission(&self) -> Permission {
        Permission::to_read(self.app.as_ref())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Figures, Problem> {
        let apps = match self.app {
            Some(_) => vec![authorized.app()?.clone()],
            None => authorized.visible_apps(platform).await?,
        };
        let counters = platform.proxy.counters();
        let figures = apps.into_iter().map(|app| {
            let counts = counters.services.get(app.name.as_str());
            AppFigures::new(app.name, &counts.copied().unwrap_or_default())
        });
        Ok(Figures(figures.collect()))
    }
}

impl Output for Figures {
    fn print(&self, page: &mut Page) {
        if self.0.is_empty() {
            page.warning("You haven't deployed any applications yet");
            return;
        }
        let mut rows = vec![row([
            "App",
            "Requests",
            "Errors",
            "In flight",
            "p50",
            "p95",
            "p99",
        ])];
        rows.extend(self.0.iter().map(|figures| {
            let errors = match figures.error_share {
                Some(share) => format!("{} ({:.1} %)", figures.errors, share * 100.0),
                None => "-".to_owned(),
            };
            row([
                figures.app.as_str(),
                &figures.requests.to_string(),
                &errors,
                &figures.in_flight.to_string(),
                &milliseconds(figures.p50_ms),
                &milliseconds(figures.p95_ms),
                &milliseconds(figures.p99_ms),
            ])
        }));
        for line in lines(&rows) {
            page.line(line);
        }
    }
}

fn milliseconds(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(ms) if ms < 10.0 => format!("{ms:.1} ms"),
        Some(ms) => format!("{ms:.0} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_in_columns_and_are_numbers_in_json() {
        let mut counts = ServiceCounts {
            by_class: [0, 190, 0, 8, 2],
            response_bytes: 204_800,
            in_flight: 3,
            retries: 1,
            ..ServiceCounts::default()
        };
        for _ in 0..195 {
            counts.durations.observe(Duration::from_micros(900));
        }
        for _ in 0..5 {
            counts.durations.observe(Duration::from_millis(60));
        }
        let busy = AppFigures::new("shop".parse().unwrap(), &counts);
        let quiet = AppFigures::new("blog".parse().unwrap(), &ServiceCounts::default());
        let figures = Figures(vec![busy, quiet]);
        let mut page = Page::default();
        figures.print(&mut page);
        insta::assert_snapshot!(page.to_text(), @r"
        App   Requests  Errors     In flight  p50     p95     p99
        shop  200       2 (1.0 %)  3          0.8 ms  1.0 ms  51 ms
        blog  0         -          0          -       -       -
        ");
        insta::assert_snapshot!(serde_json::to_string(&figures).unwrap(), @r#"[{"app":"shop","requests":200,"errors":2,"error_share":0.01,"in_flight":3,"retries":1,"bytes_in":0,"bytes_out":204800,"p50_ms":0.756,"p95_ms":0.987,"p99_ms":51.2},{"app":"blog","requests":0,"errors":0,"error_share":null,"in_flight":0,"retries":0,"bytes_in":0,"bytes_out":0,"p50_ms":null,"p95_ms":null,"p99_ms":null}]"#);
    }
}
