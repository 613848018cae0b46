//! `backup:create`

use std::io::{self, Write};
use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::passphrase;
use crate::backup::{self, Made};
use crate::commands::command::Done;
use crate::commands::{Authorized, Command, Dialog, Format, Platform, page};
use crate::engine::Stream;
use crate::model::{Kind, Permission, Problem, Secret};

/// Pieces of the archive that wait for a slow reader, 64 KiB each.
const WAITING: usize = 8;

/// Write one encrypted backup of the whole server, while it works
///
/// It goes to standard output: ssh mini backup:create > mini.age. The `mini` program writes a file as well, whole or not at
/// all: --to FILE, or --to DIR for a name with the date. In it are the database, the repositories, keys, certificates and
/// settings, all of one moment; images are built again after a restore. Without a passphrase file the passphrase is asked
/// for, or is the first line of standard input. Nobody can open a backup without it; `age` can open it with it.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// The file to write, or the folder to write it into, where `mini` is typed
    #[arg(long, value_name = "FILE|DIR")]
    #[serde(skip)]
    pub to: Option<PathBuf>,
    /// The file that has the passphrase in its first line, where `mini` is typed
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub passphrase_file: Option<PathBuf>,
    /// The passphrase, from that file
    #[arg(skip)]
    #[serde(default)]
    pub passphrase: Option<Secret>,
}

impl Create {
    /// Takes the passphrase from the file that is named, so that it travels with the command. For the program that is typed
    /// where the file is.
    pub fn with_files(mut self) -> Result<Self, Problem> {
        self.to = None;
        if let Some(path) = self.passphrase_file.take() {
            let read = passphrase::read_file(&path)?;
            self.passphrase = Some(passphrase::checked(Some(read))?);
        }
        Ok(self)
    }
}

impl Command for Create {
    type Output = Done;

    fn permission(&self) -> Permission {
        Permission::Administer
    }

    fn needs_stream(&self) -> Option<&'static str> {
        Some("its answer is the backup itself")
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Done, Problem> {
        if self.to.is_some() || self.passphrase_file.is_some() {
            return Err(Problem::new(
                Kind::Invalid,
                "The server does not use files by name",
                "they would be on the server and not where you are",
                "Send the backup to a file of yours: `ssh mini backup:create > mini.age`, with the passphrase on standard input",
            ));
        }
        if dialog.terminal().is_some() || dialog.options().format == Format::Json {
            return Err(Problem::new(
                Kind::Usage,
                "A backup is nothing to be shown",
                "it is written to standard output, as bytes that are no text",
                "Send it to a file: `mini backup:create --to FILE`, or `ssh mini backup:create > FILE` without -t",
            ));
        }
        let given = match self.passphrase {
            Some(passphrase) => Some(passphrase),
            None => dialog.ask_secret("Passphrase of the backup").await?,
        };
        let passphrase = passphrase::checked(given)?;
        let source = platform.backups.source();
        let (sender, mut pieces) = mpsc::channel(WAITING);
        let making = async {
            let (pipe, made) = backup::create(source, passphrase, Pipe(sender)).await?;
            // Whoever passes the pieces on has them all now.
            drop(pipe);
            Ok::<Made, backup::BackupError>(made)
        };
        let passing_on = async {
            while let Some(piece) = pieces.recv().await {
                if !dialog.bytes(piece).await {
                    break;
                }
            }
            // The next piece finds nobody, and the making ends.
            drop(pieces);
        };
        let (made, ()) = tokio::join!(making, passing_on);
        let made = made.map_err(|error| match error {
            backup::BackupError::Write(_) => backup::BackupError::Canceled,
            other => other,
        })?;
        if !dialog.options().quiet {
            let line = page::header(&summary(&made));
            dialog.write(Stream::Stderr, line).await;
        }
        Ok(Done::new())
    }
}

/// One line about what was made.
pub(super) fn summary(made: &Made) -> String {
    let apps = match made.apps.len() {
        1 => "1 app".to_owned(),
        number => format!("{number} apps"),
    };
    format!("Backed up {apps} as of {:.0}", made.head.created_at)
}

/// Passes what is written on to an async task.
struct Pipe(mpsc::Sender<Bytes>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Bytes::copy_from_slice(bytes))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
