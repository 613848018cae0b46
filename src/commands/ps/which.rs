//! One app, or all of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::at_once::{self, Parallel};
use crate::commands::each::{Act, each};
use crate::commands::{Authorized, Dialog, Platform};
use crate::model::{AppName, InvalidName, Permission, Problem};

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
        act: &impl Act<Done = ()>,
        at_once: Parallel,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<(), Problem> {
        if matches!(self, Which::App(_)) {
            return act.act(platform, authorized.app()?, dialog).await;
        }
        let apps = authorized.visible_apps(platform).await?;
        match at_once.number() {
            1 => each(act, apps, platform, dialog).await.map(drop),
            number => at_once::each(act, number, apps, platform, dialog).await,
        }
    }
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
