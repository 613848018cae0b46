//! `ssh-keys:list`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::ALLOWED_KEYS;
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{KeyName, Permission, Problem, SshKey, Timestamp};
use crate::store::Store;

/// List the SSH keys that may log in
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Only the key with this name
    #[serde(default)]
    pub name: Option<KeyName>,
}

/// A key as the list shows it.
#[derive(Debug, Serialize)]
pub(super) struct Key {
    fingerprint: String,
    name: KeyName,
    #[serde(rename = "SSHCOMMAND_ALLOWED_KEYS")]
    allowed_keys: &'static str,
    created_at: Timestamp,
}

/// The keys that may log in.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Keys(Vec<Key>);

impl Command for List {
    type Output = Keys;

    fn permission(&self) -> Permission {
        Permission::Administer
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Keys, Problem> {
        self.apply(&platform.store).await
    }
}

impl List {
    /// Does it on a store that no server need be using.
    pub async fn apply(self, store: &Store) -> Result<Keys, Problem> {
        let mut keys = store.ssh_keys().await?;
        keys.retain(|key| self.name.as_ref().is_none_or(|name| *name == key.name));
        keys.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Keys(keys.into_iter().map(Key::from).collect()))
    }
}

impl From<SshKey> for Key {
    fn from(key: SshKey) -> Self {
        Self {
            fingerprint: key.fingerprint,
            name: key.name,
            allowed_keys: ALLOWED_KEYS,
            created_at: key.created_at,
        }
    }
}

impl Output for Keys {
    fn print(&self, page: &mut Page) {
        if self.0.is_empty() {
            page.warning("No public keys found");
        }
        for key in &self.0 {
            page.line(format!(
                "{} NAME=\"{}\" SSHCOMMAND_ALLOWED_KEYS=\"{}\"",
                key.fingerprint, key.name, key.allowed_keys
            ));
        }
    }
}
