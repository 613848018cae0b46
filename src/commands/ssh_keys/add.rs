//! `ssh-keys:add`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::public_key::{Accepted, read};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{KeyName, Kind, Permission, Problem, SshKey, Timestamp};
use crate::store::Store;

/// Longest input that is read, bytes; an RSA key of 16384 bits takes 2800.
const INPUT_LIMIT: usize = 16 * 1024;

/// Let the holder of an SSH key log in
///
/// The public key is read from standard input: mini ssh-keys:add NAME < ~/.ssh/id_ed25519.pub
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// A name for the key, such as the name of its owner
    pub name: KeyName,
    /// The public key, where standard input is not at hand (HTTP)
    #[arg(skip)]
    #[serde(default)]
    pub public_key: Option<String>,
}

/// The key that was added.
#[derive(Debug, Serialize)]
pub struct Added {
    name: KeyName,
    fingerprint: String,
    #[serde(skip)]
    had_options: bool,
}

impl Command for Add {
    type Output = Added;

    fn permission(&self) -> Permission {
        Permission::Administer
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Added, Problem> {
        self.apply(&platform.store, dialog).await
    }
}

impl Add {
    /// Does it on a store that no server need be using.
    pub async fn apply(self, store: &Store, dialog: &mut Dialog) -> Result<Added, Problem> {
        let text = match self.public_key {
            Some(text) => text,
            None => String::from_utf8(dialog.read_all(INPUT_LIMIT).await?).unwrap_or_default(),
        };
        let mut lines = lines(&text);
        let accepted = read(lines.next().unwrap_or_default())?;
        if lines.next().is_some() {
            return Err(Problem::new(
                Kind::Invalid,
                "There is more than one line",
                "a name stands for one key",
                "Add each key with a name of its own",
            ));
        }
        add(store, self.name, accepted).await
    }
}

async fn add(store: &Store, name: KeyName, accepted: Accepted) -> Result<Added, Problem> {
    let keys = store.ssh_keys().await?;
    if let Some(same) = keys
        .iter()
        .find(|key| key.fingerprint == accepted.fingerprint)
    {
        return Err(Problem::new(
            Kind::Taken,
            format!("This key was added already, as {}", same.name),
            "",
            "",
        ));
    }
    if keys.iter().any(|key| key.name == name) {
        return Err(Problem::new(
            Kind::Taken,
            format!("There is a key named {name} already"),
            "",
            format!("Choose another name, or remove that key first: `ssh-keys:remove {name}`"),
        ));
    }
    let key = SshKey {
        name: name.clone(),
        fingerprint: accepted.fingerprint.clone(),
        public_key: accepted.line,
        created_at: Timestamp::now(),
    };
    store.add_ssh_key(&key).await?;
    Ok(Added {
        name,
        fingerprint: accepted.fingerprint,
        had_options: accepted.had_options,
    })
}

/// Adds every key of an `authorized_keys` file that is not known yet, and returns the names of those that were added. A
/// key is named after its comment, or after `fallback`, with a number behind it where the name is taken.
pub async fn add_all(store: &Store, text: &str, fallback: &str) -> Result<Vec<KeyName>, Problem> {
    let mut added = Vec::new();
    for line in lines(text) {
        let accepted = read(line)?;
        let keys = store.ssh_keys().await?;
        if keys
            .iter()
            .any(|key| key.fingerprint == accepted.fingerprint)
        {
            continue;
        }
        let name = unused_name(&accepted.comment, fallback, |name| {
            keys.iter().any(|key| key.name.as_str() == name)
        })?;
        add(store, name.clone(), accepted).await?;
        added.push(name);
    }
    Ok(added)
}

fn unused_name(
    comment: &str,
    fallback: &str,
    is_taken: impl Fn(&str) -> bool,
) -> Result<KeyName, Problem> {
    let fit = |text: &str| -> String {
        text.chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "._@-".contains(c) {
                    c
                } else {
                    '-'
                }
            })
            .take(56)
            .collect::<String>()
            .trim_start_matches('-')
            .to_owned()
    };
    let base = [comment, fallback, "key"]
        .into_iter()
        .map(fit)
        .find(|name| !name.is_empty())
        .unwrap_or_default();
    let mut name = base.clone();
    let mut number = 2;
    while is_taken(&name) {
        name = format!("{base}-{number}");
        number += 1;
    }
    Ok(name.parse()?)
}

/// The lines that hold keys.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

impl Output for Added {
    fn print(&self, page: &mut Page) {
        if self.had_options {
            page.warning("The options before the key were dropped, mini has no use for them");
        }
        page.line(&self.fingerprint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_fit_and_unused() {
        let name = |comment: &str, taken: &[&str]| {
            unused_name(comment, "id.pub", |name| taken.contains(&name))
                .unwrap()
                .to_string()
        };
        assert_eq!(name("me@laptop", &[]), "me@laptop");
        assert_eq!(name("me@laptop", &["me@laptop"]), "me@laptop-2");
        assert_eq!(
            name("me@laptop", &["me@laptop", "me@laptop-2"]),
            "me@laptop-3"
        );
        assert_eq!(name("", &[]), "id.pub");
        assert_eq!(name("Ana María's key", &[]), "Ana-Mar-a-s-key");
        assert_eq!(name("---", &[]), "id.pub");
    }
}
