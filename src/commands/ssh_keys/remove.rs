//! `ssh-keys:remove`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{KeyName, Kind, Permission, Problem};
use crate::store::Store;

/// Let the holder of an SSH key no longer log in
///
/// Connections that are open with it are closed. A deploy that was begun belongs to the server and goes on.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// The name of the key
    pub name: KeyName,
}

/// The key that was removed.
#[derive(Debug, Serialize)]
pub struct Removed {
    name: KeyName,
}

impl Command for Remove {
    type Output = Removed;

    fn permission(&self) -> Permission {
        Permission::Administer
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Removed, Problem> {
        self.apply(&platform.store).await
    }
}

impl Remove {
    /// Does it on a store that no server need be using.
    pub async fn apply(self, store: &Store) -> Result<Removed, Problem> {
        if store.remove_ssh_key(&self.name).await? {
            Ok(Removed { name: self.name })
        } else {
            Err(Problem::new(
                Kind::NotFound,
                format!("There is no key named {}", self.name),
                "",
                "See `ssh-keys:list` for those there are",
            ))
        }
    }
}

impl Output for Removed {
    fn print(&self, page: &mut Page) {
        page.header(format!("Removed the key {}", self.name));
    }
}
