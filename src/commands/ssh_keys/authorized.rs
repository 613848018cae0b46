//! `ssh-keys:authorized`

use std::path::Path;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{self, Command, Dialog, Output, Page, Platform, place_of, program_of};
use crate::model::{Kind, Permission, Problem};
use crate::store::Store;

/// Print the line by which the machine's own SSH server lets a key in, for `git push` and commands on port 22
///
/// For AuthorizedKeysCommand of sshd_config(5), with `%f` as the fingerprint. Whoever logs in with the key reaches mini and
/// nothing else. Prints nothing for a key that may not log in.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authorized {
    /// The fingerprint of the key, as `ssh-keygen -l` prints it (SHA256:...)
    pub fingerprint: String,
}

/// The line for a key that may log in.
#[derive(Debug, Serialize)]
pub struct Line {
    line: Option<String>,
}

impl Command for Authorized {
    type Output = Line;

    fn permission(&self) -> Permission {
        Permission::Administer
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &commands::Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Line, Problem> {
        self.apply(&platform.store, &platform.facts.data_dir).await
    }
}

impl Authorized {
    /// Does it on a store that no server need be using.
    pub async fn apply(self, store: &Store, data_dir: &Path) -> Result<Line, Problem> {
        let Some(key) = store.ssh_key_by_fingerprint(&self.fingerprint).await? else {
            return Ok(Line { line: None });
        };
        let program = program_of("self").map_err(|error| {
            Problem::new(
                Kind::Internal,
                "The path of mini is not known",
                error.to_string(),
                "",
            )
        })?;
        let command = format!(
            "{} --data-dir {} shell {}",
            quoted(&place_of(&program))?,
            quoted(data_dir)?,
            key.fingerprint
        );
        Ok(Line {
            line: Some(format!(
                "restrict,pty,command=\"{}\" {}",
                command.replace('"', "\\\""),
                key.public_key
            )),
        })
    }
}

/// A path as a word of a shell, which sshd gives the command to.
fn quoted(path: &Path) -> Result<String, Problem> {
    let quoted = path.to_str().and_then(|path| shlex::try_quote(path).ok());
    quoted.map(|path| path.into_owned()).ok_or_else(|| {
        Problem::new(
            Kind::Usage,
            "The path of mini or of its data directory cannot be written for sshd",
            format!("{} is not UTF-8", path.display()),
            "Move it",
        )
    })
}

impl Output for Line {
    fn print(&self, page: &mut Page) {
        if let Some(line) = &self.line {
            page.line(line);
        }
    }
}
