//! Whom a setting is for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::{AppName, InvalidName, Permission};

/// One app, or all that have no value of their own. Dokku has the word in the place of the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Scope {
    /// `--global`.
    Global,
    /// An app.
    App(AppName),
}

const GLOBAL: &str = "--global";

impl Scope {
    /// The app, if it is for one.
    pub fn app(&self) -> Option<&AppName> {
        match self {
            Scope::Global => None,
            Scope::App(app) => Some(app),
        }
    }

    /// To see what is set.
    pub(super) fn to_read(&self) -> Permission {
        match self {
            Scope::Global => Permission::Administer,
            Scope::App(app) => Permission::ReadApp(app.clone()),
        }
    }

    /// To set it.
    pub(super) fn to_change(&self) -> Permission {
        match self {
            Scope::Global => Permission::Administer,
            Scope::App(app) => Permission::ChangeApp(app.clone()),
        }
    }
}

impl FromStr for Scope {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match text {
            GLOBAL => Ok(Scope::Global),
            app => app.parse().map(Scope::App),
        }
    }
}

impl TryFrom<String> for Scope {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Global => f.write_str(GLOBAL),
            Scope::App(app) => app.fmt(f),
        }
    }
}
