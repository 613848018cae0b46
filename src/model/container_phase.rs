//! When the containers of an app are made.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// When the containers of an app are made that have an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerPhase {
    /// Its processes, and the commands that are run once in a deploy.
    Deploy,
    /// `run`.
    Run,
}

impl ContainerPhase {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Deploy, Self::Run];

    /// Its name, Dokku's.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Run => "run",
        }
    }
}

impl fmt::Display for ContainerPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ContainerPhase {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|phase| phase.as_str() == text)
            .ok_or(())
    }
}
