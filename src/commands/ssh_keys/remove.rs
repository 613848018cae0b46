//! `ssh-keys:remove`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{Caller, KeyName, Kind, Permission, Problem};
use crate::store::Store;

/// Let the holder of an SSH key no longer log in
///
/// Connections that are open with it are closed. A deploy that was begun belongs to the server and goes on.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// The name of the key
    pub name: KeyName,
    /// Remove it even if it is the last one
    #[arg(long)]
    #[serde(default)]
    pub force: bool,
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
        dialog: &mut Dialog,
    ) -> Result<Removed, Problem> {
        if !self.force {
            self.refuse_last(&platform.store, dialog.caller()).await?;
        }
        self.apply(&platform.store).await
    }
}

impl Remove {
    /// Whoever came in by the last key would lock the door behind them. On the server's own machine a key can always be added.
    async fn refuse_last(&self, store: &Store, caller: &Caller) -> Result<(), Problem> {
        let keys = store.ssh_keys().await?;
        let is_last = matches!(keys.as_slice(), [last] if last.name == self.name);
        if !is_last || matches!(caller, Caller::Console) {
            return Ok(());
        }
        Err(Problem::new(
            Kind::Busy,
            format!("The key {} was not removed: it is the last one", self.name),
            "nobody could log in any more",
            "Add another first: `ssh-keys:add NAME < FILE.pub`; `--force` removes it all the same, and then keys are \
             added on the server only: `sudo mini ssh-keys:add NAME < FILE.pub`",
        ))
    }

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
