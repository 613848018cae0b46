//! `backup:create`

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::inside::length;
use super::passphrase;
use crate::backup::{self, Made};
use crate::commands::command::Done;
use crate::commands::{Authorized, Command, Dialog, Format, Platform, page};
use crate::engine::Stream;
use crate::model::{
    AppName, BackupPlace, BucketPlace, Kind, Permission, Problem, Secret, Timestamp,
};

/// Pieces of the archive that wait for a slow reader, 64 KiB each.
const WAITING: usize = 8;

/// Write one encrypted backup of the whole server, while it works
///
/// It goes to standard output: ssh mini backup:create > mini.age. The `mini` program writes a file as well, whole or not at
/// all: --to FILE, or --to DIR for a name with the date. In it are the database, the repositories, keys, certificates and
/// settings, all of one moment; images are built again after a restore. Without a passphrase file the passphrase is asked
/// for, or is the first line of standard input. Nobody can open a backup without it; `age` can open it with it.
///
/// What apps keep in the storage is in it by choice: --with-storage, or --with-storage=APP,... Docker reads those folders, with
/// the owners and modes of all files, one after the other while the apps go on: have a database in there write a dump of itself
/// before, or stop its app.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// The file to write, or the folder to write it into, where `mini` is typed; or a bucket
    #[arg(long, value_name = "FILE|DIR|s3://BUCKET/PREFIX")]
    #[serde(default)]
    pub to: Option<String>,
    /// With what apps keep in the storage: of these apps, or of all
    #[arg(long, value_name = "APP,...", num_args = 0.., require_equals = true, value_delimiter = ',')]
    #[serde(default)]
    pub with_storage: Option<Vec<AppName>>,
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
    /// The file or folder that is meant, where `mini` is typed.
    pub fn file(&self) -> Option<&Path> {
        let to = self.to.as_deref().filter(|to| !BucketPlace::is_meant(to));
        to.map(Path::new)
    }

    /// Whether the server sends it to a bucket.
    pub fn is_for_bucket(&self) -> bool {
        self.to.as_deref().is_some_and(BucketPlace::is_meant)
    }

    /// Takes the passphrase from the file that is named, so that it travels with the command. For the program that is typed
    /// where the file is.
    pub fn with_files(mut self) -> Result<Self, Problem> {
        self.to = self.to.filter(|to| BucketPlace::is_meant(to));
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
        (!self.is_for_bucket()).then_some("its answer is the backup itself")
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Done, Problem> {
        let bucket = match &self.to {
            Some(to) if BucketPlace::is_meant(to) => Some(bucket(to)?),
            _ => None,
        };
        if self.file().is_some() || self.passphrase_file.is_some() {
            return Err(Problem::new(
                Kind::Invalid,
                "The server does not use files by name",
                "they would be on the server and not where you are",
                "Send the backup to a file of yours: `ssh mini backup:create > mini.age`, with the passphrase on standard input",
            ));
        }
        if bucket.is_none()
            && (dialog.terminal().is_some() || dialog.options().format == Format::Json)
        {
            return Err(Problem::new(
                Kind::Usage,
                "A backup is nothing to be shown",
                "it is written to standard output, as bytes that are no text",
                "Send it to a file: `mini backup:create --to FILE`, or `ssh mini backup:create > FILE` without -t",
            ));
        }
        require_apps(platform, self.with_storage.as_deref()).await?;
        let given = match self.passphrase {
            Some(passphrase) => Some(passphrase),
            None => dialog.ask_secret("Passphrase of the backup").await?,
        };
        let passphrase = passphrase::checked(given)?;
        let storage = self.with_storage;
        if let Some(place) = bucket {
            return to_bucket(platform, &place, passphrase, storage, dialog).await;
        }
        let source = platform.backups.source();
        let (sender, mut pieces) = mpsc::channel(WAITING);
        let making = async {
            let (pipe, made) = backup::create(source, passphrase, storage, Pipe(sender)).await?;
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

/// Whether the apps whose storage is wanted are all there.
pub(super) async fn require_apps(
    platform: &Platform,
    apps: Option<&[AppName]>,
) -> Result<(), Problem> {
    for name in apps.unwrap_or_default() {
        if platform.store.app(name).await?.is_none() {
            return Err(Problem::no_such_app(name));
        }
    }
    Ok(())
}

fn bucket(to: &str) -> Result<BucketPlace, Problem> {
    to.parse().map_err(|why: String| {
        let next = "Name a bucket and what stands before the names in it: --to s3://BUCKET/PREFIX";
        Problem::new(Kind::Invalid, "That is no place for backups", why, next)
    })
}

/// Where in a bucket it goes: to a name that ends like an archive, or to one with the moment.
fn named(place: &BucketPlace, moment: Timestamp) -> (BucketPlace, String) {
    match place.split() {
        Some((folder, name)) if name.ends_with(".age") => (folder, name.to_owned()),
        _ => {
            let moment = moment.strftime("%Y%m%dT%H%M%SZ");
            (place.clone(), format!("mini-{moment}.age"))
        }
    }
}

async fn to_bucket(
    platform: &Platform,
    place: &BucketPlace,
    passphrase: Secret,
    storage: Option<Vec<AppName>>,
    dialog: &mut Dialog,
) -> Result<Done, Problem> {
    let (place, name) = named(place, Timestamp::now());
    let shown = place.with_name(&name).to_string();
    let backups = platform.backups.clone();
    let archives = backups.archives(&BackupPlace::Bucket(place))?;
    if archives
        .list(&name)
        .await?
        .iter()
        .any(|kept| kept.name == name)
    {
        return Err(Problem::new(
            Kind::Taken,
            format!("{shown} is there already"),
            "a backup never takes the place of another",
            "Give another name, or a prefix without one",
        ));
    }
    // It goes on when the caller leaves.
    let made = tokio::spawn(async move {
        let archive = archives.begin(&name).await?;
        backups.make_at(archive, passphrase, storage).await
    });
    let made = made.await.unwrap_or(Err(backup::BackupError::Canceled));
    let (made, _) = made?;
    if !dialog.options().quiet {
        dialog
            .write(Stream::Stderr, page::header(&summary(&made)))
            .await;
    }
    if dialog.options().format != Format::Json {
        dialog.write(Stream::Stdout, format!("{shown}\n")).await;
    }
    Ok(Done::new())
}

/// One line about what was made.
pub(super) fn summary(made: &Made) -> String {
    let apps = match made.apps.len() {
        1 => "1 app".to_owned(),
        number => format!("{number} apps"),
    };
    let moment = format!("Backed up {apps} as of {:.0}", made.head.created_at);
    let files: u64 = made.storage.iter().map(|folder| folder.files).sum();
    let bytes = made.storage.iter().map(|folder| folder.bytes).sum();
    match made.storage.len() {
        0 => moment,
        1 => format!(
            "{moment}, with 1 folder of the storage: {files} files, {}",
            length(bytes)
        ),
        folders => format!(
            "{moment}, with {folders} folders of the storage: {files} files, {}",
            length(bytes)
        ),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gets_the_name_that_is_given_or_one_with_the_moment() {
        let moment = "2026-11-21T03:04:05Z".parse().unwrap();
        let check = |to: &str, expected: &str| {
            let (place, name) = named(&to.parse().unwrap(), moment);
            assert_eq!(place.with_name(&name).to_string(), expected);
        };
        check("s3://abc/x/y.age", "s3://abc/x/y.age");
        check("s3://abc/x", "s3://abc/x/mini-20261121T030405Z.age");
        check("s3://abc", "s3://abc/mini-20261121T030405Z.age");
        assert!(bucket("s3://X").is_err());
    }
}
