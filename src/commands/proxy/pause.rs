//! `proxy:pause`

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Kind, Permission, Problem, Span, Timestamp, ValueKind};

/// How long an app may be paused.
const LENGTH: Span = Span {
    least: Duration::from_secs(1),
    most: Duration::from_secs(3_600),
};

/// Have requests for an app wait, instead of refusing them, until proxy:resume
///
/// For work that takes a moment and bears no traffic. Requests are held for 30 seconds at most, and at most a thousand
/// of them by each thread of the proxy; others are answered 503 with Retry-After. What has begun goes on, and so do
/// WebSockets. After --max the app goes on by itself, also when the server was started again meanwhile.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// The app
    pub app: AppName,
    /// After what time the app goes on by itself, from 1s to 1h
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    #[serde(default)]
    pub max: Length,
}

/// A time an app may be paused for, as it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Length(Duration);

impl Default for Length {
    fn default() -> Self {
        Self(Duration::from_secs(30))
    }
}

impl FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        LENGTH.read(text).map(Self)
    }
}

impl TryFrom<String> for Length {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Length> for String {
    fn from(length: Length) -> String {
        LENGTH.write(&length.0)
    }
}

/// A pause that has begun.
#[derive(Debug, Serialize)]
pub struct Paused {
    app: AppName,
    max: Length,
    until: Timestamp,
}

impl Command for Pause {
    type Output = Paused;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Paused, Problem> {
        let app = authorized.app()?;
        let until = Timestamp::now().checked_add(self.max.0).map_err(|error| {
            Problem::new(
                Kind::Internal,
                format!("{} was not paused", app.name),
                format!("its end cannot be told: {error}"),
                "Look at the clock of the server",
            )
        })?;
        let until = platform.store.pause(app.id, until).await?;
        // Whoever is told that requests wait may count on it.
        platform.reconciler.wait_for(|_| true).await;
        Ok(Paused {
            app: app.name.clone(),
            max: self.max,
            until,
        })
    }
}

impl Output for Paused {
    fn print(&self, page: &mut Page) {
        let length = LENGTH.write(&self.max.0);
        page.section(format!(
            "Requests for {} wait, for {length} at most or until proxy:resume {}",
            self.app, self.app
        ));
    }
}
