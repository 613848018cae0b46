//! `storage:ensure-directory`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{ensure, path};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{Permission, Problem, StorageName};

/// Make a folder for what apps are to keep, where it is missing
///
/// Whatever user an image runs as can write there, so there is nothing to chown; nobody else on the machine can look in.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsureDirectory {
    /// Its name
    pub name: StorageName,
}

/// The folder.
#[derive(Debug, Serialize)]
pub struct Ensured {
    name: StorageName,
    path: String,
    is_new: bool,
}

impl Command for EnsureDirectory {
    type Output = Ensured;

    fn permission(&self) -> Permission {
        Permission::Administer
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Ensured, Problem> {
        let is_new = ensure(platform, &self.name).await?;
        Ok(Ensured {
            path: path(platform, &self.name).display().to_string(),
            name: self.name,
            is_new,
        })
    }
}

impl Output for Ensured {
    fn print(&self, page: &mut Page) {
        page.header(match self.is_new {
            true => format!("Made {}", self.path),
            false => format!("{} is there", self.path),
        });
        page.detail(format!("mount it: storage:mount APP {}:/PATH", self.name));
    }
}
