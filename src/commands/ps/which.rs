//! One app, or all of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::at_once::{self, Parallel};
use crate::commands::progress::left;
use crate::commands::{Authorized, Dialog, Platform};
use crate::model::{App, AppName, InvalidName, Kind, Permission, Problem};

const ALL: &str = "--all";

/// One app, or all that are deployed. Dokku has the word in the place of the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Which {
    /// `--all`.
    All,
    /// An app.
    App(AppName),
}

/// What is done to an app.
pub(super) trait Act: Sync {
    /// Does it to one that is deployed, or refuses one that is not.
    fn act(
        &self,
        platform: &Platform,
        app: &App,
        dialog: &mut Dialog,
    ) -> impl Future<Output = Result<(), Problem>> + Send;
}

impl Which {
    /// To change all apps one has to be allowed the server.
    pub(super) fn to_change(&self) -> Permission {
        match self {
            Which::All => Permission::Administer,
            Which::App(app) => Permission::ChangeApp(app.clone()),
        }
    }

    /// Acts on the app, or on each that is deployed, so many at once. One that fails keeps no other from it.
    pub(super) async fn each(
        &self,
        act: &impl Act,
        at_once: Parallel,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<(), Problem> {
        if matches!(self, Which::App(_)) {
            return act.act(platform, authorized.app()?, dialog).await;
        }
        let mut apps = authorized.visible_apps(platform).await?;
        apps.retain(|app| app.current.is_some());
        let failed = match at_once.number() {
            1 => in_turn(act, platform, apps, dialog).await?,
            number => at_once::all(act, number, platform, apps, dialog).await?,
        };
        if failed.is_empty() {
            return Ok(());
        }
        Err(Problem::new(
            Kind::AppFailed,
            format!("It failed for {}", failed.join(", ")),
            "what each said is above; all others are done",
            "`ps:report APP` and `logs APP` say more",
        ))
    }
}

/// One after the other, each heard while it works. The names of those that failed.
async fn in_turn(
    act: &impl Act,
    platform: &Platform,
    apps: Vec<App>,
    dialog: &mut Dialog,
) -> Result<Vec<String>, Problem> {
    let mut failed = Vec::new();
    for app in apps {
        if let Err(problem) = act.act(platform, &app, dialog).await {
            dialog.warning(format!("{}: {problem}", app.name)).await;
            failed.push(app.name.to_string());
        }
        // Without one who waits, all that are left would be begun at once.
        if dialog.is_gone() {
            return Err(left());
        }
    }
    Ok(failed)
}

impl FromStr for Which {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match text {
            ALL => Ok(Which::All),
            app => app.parse().map(Which::App),
        }
    }
}

impl TryFrom<String> for Which {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<Which> for String {
    fn from(which: Which) -> Self {
        which.to_string()
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::All => f.write_str(ALL),
            Which::App(app) => app.fmt(f),
        }
    }
}
