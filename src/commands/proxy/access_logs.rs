//! `proxy:access-logs`

use std::io;

use clap::Args;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::access_log::{Follower, LogName};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform, interrupted};
use crate::engine::Stream;
use crate::model::{AppName, Kind, Permission, Problem};

/// Print the last requests of an app, one JSON object per line
///
/// A field that does not apply is left out: `error` and `upstream` say more about answers that are not the app's, `cut`
/// who broke off. Paths and referrers are without their query, which may hold secrets, unless the setting
/// access-log-queries is on. `proxy:set APP access-log off` leaves the requests of an app out.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessLogs {
    /// The app
    #[arg(required_unless_present = "unrouted")]
    #[serde(default)]
    pub app: Option<AppName>,
    /// Requests that no app answered, such as those for unknown hosts
    #[arg(long, conflicts_with = "app")]
    #[serde(default)]
    pub unrouted: bool,
    /// How many lines
    #[arg(short = 'n', long, default_value_t = default_num())]
    #[serde(default = "default_num")]
    pub num: usize,
    /// Go on with new lines until you leave
    #[arg(short = 't', long)]
    #[serde(default)]
    pub tail: bool,
}

fn default_num() -> usize {
    100
}

/// Lines of an access log, oldest first.
#[derive(Debug)]
pub struct Lines {
    text: String,
    /// Why there will be no more, if so.
    off: Option<String>,
}

impl Command for AccessLogs {
    type Output = Lines;

    fn permission(&self) -> Permission {
        match &self.app {
            Some(app) if !self.unrouted => Permission::ReadApp(app.clone()),
            Some(_) | None => Permission::Administer,
        }
    }

    fn needs_stream(&self) -> Option<&'static str> {
        self.tail
            .then_some("with `tail` it goes on until its reader leaves")
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Lines, Problem> {
        let name = match (&self.app, self.unrouted) {
            (Some(_), false) => LogName::App(authorized.app()?.name.clone()),
            (None, true) => LogName::Unrouted,
            (Some(_), true) | (None, false) => {
                return Err(Problem::new(
                    Kind::Usage,
                    "Either an app or `unrouted` is needed",
                    "",
                    "Give the name of an app, or `--unrouted` for requests that no app answered",
                ));
            }
        };
        let logs = &platform.access_logs;
        let (lines, follower) = logs.read(&name, self.num).await.map_err(unreadable)?;
        let mut lines = Lines {
            text: text(lines),
            off: off(platform, authorized, &name).await?,
        };
        if self.tail {
            if let Some(why) = lines.off.take() {
                dialog.warning(why).await;
            }
            let before = std::mem::take(&mut lines.text);
            if !before.is_empty() {
                dialog.write(Stream::Stdout, before).await;
            }
            follow(platform, dialog, follower).await?;
        }
        Ok(lines)
    }
}

/// Why no line is added, if so.
async fn off(
    platform: &Platform,
    authorized: &Authorized,
    name: &LogName,
) -> Result<Option<String>, Problem> {
    if !platform.access_logs.is_on() {
        let why = "Nothing is added: the setting access-log is off";
        return Ok(Some(why.to_owned()));
    }
    match name {
        LogName::Unrouted => Ok(None),
        LogName::App(app) => {
            let own = platform.store.proxy_settings(authorized.app()?.id).await?;
            let is_off = own.get("access-log").is_some_and(|value| value == "off");
            Ok(is_off.then(|| format!("Nothing is added: `proxy:set {app} access-log on`")))
        }
    }
}

/// Prints new lines until the caller leaves, or the log is moved or removed with its app.
async fn follow(
    platform: &Platform,
    dialog: &Dialog,
    mut follower: Follower,
) -> Result<(), Problem> {
    loop {
        let lines = tokio::select! {
            () = dialog.gone() => return Ok(()),
            () = platform.leaves() => return Err(interrupted()),
            lines = follower.next() => lines.map_err(unreadable)?,
        };
        match lines {
            Some(lines) => tokio::select! {
                biased;
                () = dialog.write(Stream::Stdout, text(lines)) => {}
                // It would wait for a slow reader.
                () = platform.leaves() => return Err(interrupted()),
            },
            None => return Ok(()),
        }
    }
}

/// Lines are written as UTF-8; what a damaged disk makes of them is shown all the same.
fn text(lines: Vec<u8>) -> String {
    String::from_utf8(lines)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn unreadable(error: io::Error) -> Problem {
    tracing::error!(%error, "an access log cannot be read");
    Problem::new(
        Kind::Internal,
        "The access log could not be read",
        "",
        "The log of the server says more: `journalctl -u mini`",
    )
}

impl Serialize for Lines {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let values = self.text.lines().map(|line| {
            serde_json::from_str(line).unwrap_or_else(|_| Value::String(line.to_owned()))
        });
        serializer.collect_seq(values)
    }
}

impl Output for Lines {
    fn print(&self, page: &mut Page) {
        if let Some(why) = &self.off {
            page.warning(why);
        }
        for line in self.text.lines() {
            page.line(line);
        }
    }
}
