//! `maintenance:on`

use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{
    AppName, Kind, ListOf, Maintenance, Network, Networks, Permission, Problem, Span, Timestamp,
    ValueKind,
};

/// What visitors are told when nothing else was said.
const RETRY_AFTER: &str = "10m";
const SPAN: Span = Span {
    least: Duration::from_secs(1),
    most: Duration::from_secs(7 * 86_400),
};
const ALLOW: ListOf<Networks> = ListOf {
    each: Networks,
    most: 256,
};

/// Close an app for its visitors: they get a page that says so, with status 503
///
/// Its processes run on, and pushes deploy. Repeat the command to change what visitors are told or who may pass.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct On {
    /// The app
    pub app: AppName,
    /// When visitors are told to come again, such as 30m or 2h
    #[arg(long, value_name = "DURATION", default_value = RETRY_AFTER)]
    #[serde(default = "retry_after")]
    pub retry_after: String,
    /// Addresses or networks that may use the app all the same, with commas
    #[arg(long, value_name = "NETWORKS", default_value = "")]
    #[serde(default)]
    pub allow: String,
}

fn retry_after() -> String {
    RETRY_AFTER.to_owned()
}

/// How the app is closed.
#[derive(Debug, Serialize)]
pub struct Closed {
    app: AppName,
    retry_after: String,
    allow: Vec<String>,
}

impl Command for On {
    type Output = Closed;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Closed, Problem> {
        let app = authorized.app()?;
        let refused = |why| {
            Problem::new(
                Kind::Invalid,
                format!("{} was not closed", app.name),
                why,
                "",
            )
        };
        let retry_after = SPAN.read(&self.retry_after).map_err(refused)?;
        let allow = ALLOW.read(&self.allow).map_err(refused)?;
        dialog
            .header(format!("Enabling maintenance mode for {}", app.name))
            .await;
        let answer = Closed {
            app: app.name.clone(),
            retry_after: SPAN.write(&retry_after),
            allow: allow.iter().map(Network::to_string).collect(),
        };
        let maintenance = Maintenance {
            since: Timestamp::now(),
            // A header names whole seconds.
            retry_after: Duration::from_secs(retry_after.as_secs()),
            allow,
        };
        platform
            .store
            .set_maintenance(app.id, Some(maintenance))
            .await?;
        platform.reconciler.wait_for(|_| true).await;
        Ok(answer)
    }
}

impl Output for Closed {
    fn print(&self, page: &mut Page) {
        page.detail(format!(
            "Visitors are told to come again in {}",
            self.retry_after
        ));
        if !self.allow.is_empty() {
            page.detail(format!("May pass: {}", self.allow.join(", ")));
        }
    }
}
