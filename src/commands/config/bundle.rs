//! `config:bundle`

use bytes::Bytes;
use clap::Args;
use serde::{Deserialize, Serialize};

use super::change::in_force;
use crate::commands::command::Done;
use crate::commands::{Authorized, Command, Dialog, Platform, Scope};
use crate::model::{ConfigVars, Kind, Permission, Problem};

/// Write the config vars as a tar archive with a file for each: ssh mini config:bundle blog > env.tar
///
/// A file has the name of its config var, and holds its value byte by byte, without a line feed of its own.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The app, or --global for what every app has
    #[arg(allow_hyphen_values = true, value_name = "APP|--global")]
    pub app: Scope,
    /// With what every app has
    #[arg(long)]
    #[serde(default)]
    pub merged: bool,
}

impl Command for Bundle {
    type Output = Done;

    fn permission(&self) -> Permission {
        self.app.to_read()
    }

    fn needs_stream(&self) -> Option<&'static str> {
        Some("it writes a tar archive to standard output")
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Done, Problem> {
        let next = format!(
            "Send it to a file: ssh mini config:bundle {} > env.tar; to read the values: config:export {} --format json",
            self.app, self.app
        );
        if dialog.terminal().is_some() || !dialog.is_text() {
            return Err(Problem::new(
                Kind::Invalid,
                "The config vars were not written",
                "a tar archive is neither for a terminal nor JSON",
                next,
            ));
        }
        let vars = in_force(&self.app, self.merged, platform, authorized).await?;
        let archive = archive(&vars).map_err(|error| {
            tracing::error!(%error, "an archive of config vars could not be made");
            Problem::new(
                Kind::Internal,
                "The config vars were not written",
                "the archive could not be made",
                next,
            )
        })?;
        dialog.bytes(Bytes::from(archive)).await;
        Ok(Done::new())
    }
}

/// The same vars make the same archive: no file has a moment or an owner.
fn archive(vars: &ConfigVars) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (key, value) in vars {
        let value = value.reveal().as_bytes();
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(value.len() as u64);
        builder.append_data(&mut header, key.as_str(), value)?;
    }
    builder.into_inner()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use super::*;
    use crate::model::Secret;

    #[test]
    fn values_are_in_the_archive_byte_by_byte() {
        let long = "L".repeat(150);
        let values = BTreeMap::from([
            ("EMPTY", ""),
            ("LINES", "one\r\ntwo\n"),
            ("ODD", "a=b 'c' \"d\" $E \\f \u{fc}\t"),
            (long.as_str(), "x"),
        ]);
        let vars = values
            .iter()
            .map(|(key, value)| (key.parse().unwrap(), Secret::new(*value)))
            .collect();
        let made = archive(&vars).unwrap();
        let mut found = BTreeMap::new();
        for entry in tar::Archive::new(made.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut value = String::new();
            entry.read_to_string(&mut value).unwrap();
            found.insert(name, value);
        }
        let expected = values.iter();
        let expected = expected.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        assert_eq!(found, expected.collect());
        assert_eq!(archive(&vars).unwrap(), made);
    }
}
