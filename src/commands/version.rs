//! `version`: which mini this is.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{Permission, Problem};

/// Print the version of mini
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {}

/// The version of mini.
#[derive(Debug, Serialize)]
pub struct VersionLine {
    /// `0.1.0`
    pub version: &'static str,
}

impl VersionLine {
    /// The version this was compiled as.
    pub fn this() -> Self {
        Self {
            version: crate::VERSION,
        }
    }
}

impl Command for Version {
    type Output = VersionLine;

    fn permission(&self) -> Permission {
        Permission::Anyone
    }

    async fn run(
        self,
        _platform: &Platform,
        _authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<VersionLine, Problem> {
        Ok(VersionLine::this())
    }
}

impl Output for VersionLine {
    fn print(&self, page: &mut Page) {
        page.line(format!("mini version {}", self.version));
    }
}
