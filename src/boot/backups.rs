//! `mini backup:verify`, `mini backup:restore`, `mini backup:list --from` and where `mini backup:create` writes: what happens where `mini` is typed,
//! without a server.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::{CommandFactory, FromArgMatches, Parser};

use super::{clap_said, client, say, settings, terminal};
use crate::backup::{self, Archives, S3Access};
use crate::commands::backup::{KeptAt, PutBack, Whole, read_passphrase_file};
use crate::commands::{Format, Options};
use crate::engine::Stream;
use crate::model::{BackupPlace, BucketPlace, Kind, Problem, Secret, Timestamp};
use crate::store::NewFile;

/// The archive and its passphrase.
#[derive(Debug, clap::Args)]
struct Archive {
    /// The backup: a file, s3://BUCKET/NAME by the settings backup-s3-*, or - for standard input
    file: String,
    /// The file that has the passphrase in its first line; without it the passphrase is asked for
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    form: Form,
}

/// The form of an answer.
#[derive(Debug, clap::Args)]
struct Form {
    /// The form of the answer
    #[arg(long, value_parser = ["text", "json"], default_value = "text")]
    format: String,
}

/// `mini backup:list --from`
#[derive(Debug, Parser)]
#[command(about = "List the backups in a folder of this machine or in a bucket; needs no server")]
struct List {
    /// The folder, or the bucket by the settings backup-s3-*
    #[arg(long, value_name = "DIR|s3://BUCKET/PREFIX")]
    from: String,
    #[command(flatten)]
    form: Form,
}

/// `mini backup:verify`
#[derive(Debug, Parser)]
#[command(
    about = "Read a backup whole, as if to restore it, and say what is in it",
    long_about = "Decrypts it, unpacks it into a scratch folder that is removed again, compares every digest, opens the \
        database with its key, and has git look at every repository. Needs git, and neither a server nor Docker."
)]
struct Verify {
    #[command(flatten)]
    archive: Archive,
    /// Where to unpack it, a folder with room for all of it
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

/// `mini backup:restore`
#[derive(Debug, Parser)]
#[command(
    about = "Make the data directory of a server from a backup",
    long_about = "The server must not run. All is unpacked and checked beside first and moved in at the end: interrupted at \
        any moment, the data directory is what it was or what the backup holds. Apps are built again from their repositories \
        when the server starts."
)]
struct Restore {
    #[command(flatten)]
    archive: Archive,
    /// Restore where a server has been at work; what is there now is kept beside
    #[arg(long)]
    force: bool,
}

/// Runs one of them.
pub(super) fn run(words: &[String], data_dir: Option<PathBuf>) -> Result<u8, Problem> {
    match words.first().map(String::as_str) {
        Some("backup:restore") => match parsed::<Restore>(words, "mini backup:restore") {
            Ok(line) => client::block_on(restore(line, client::chosen(data_dir))),
            Err(error) => Ok(clap_said(&error)),
        },
        Some("backup:list") => match parsed::<List>(words, "mini backup:list") {
            Ok(line) => client::block_on(list(line)),
            Err(error) => Ok(clap_said(&error)),
        },
        _ => match parsed::<Verify>(words, "mini backup:verify") {
            Ok(line) => client::block_on(verify(line)),
            Err(error) => Ok(clap_said(&error)),
        },
    }
}

/// Whether a list of what is in some place is asked for, which needs no server.
pub(super) fn is_list_from(words: &[String]) -> bool {
    let names_place = |word: &String| word == "--from" || word.starts_with("--from=");
    words.first().is_some_and(|word| word == "backup:list") && words.iter().any(names_place)
}

async fn list(line: List) -> Result<u8, Problem> {
    let place = match BucketPlace::is_meant(&line.from) {
        true => BackupPlace::Bucket(bucket(&line.from)?),
        false => BackupPlace::Folder(PathBuf::from(&line.from)),
    };
    let access = match &place {
        BackupPlace::Bucket(_) => access()?,
        BackupPlace::Folder(_) => S3Access::default(),
    };
    let archives = Archives::at(&place, &access)?.list("").await?;
    Ok(client::show(
        &KeptAt { place, archives },
        line.form.options(),
    ))
}

fn bucket(text: &str) -> Result<BucketPlace, Problem> {
    text.parse().map_err(|why: String| {
        Problem::new(
            Kind::Usage,
            "That is no place for backups",
            why,
            "Name a bucket and what stands before the names in it: s3://BUCKET/PREFIX",
        )
    })
}

/// The folder where systemd finds the credentials of services, which whoever is root may read.
const CREDENTIALS: &str = "/etc/credstore";

/// The way to buckets by the settings of this machine: the file and the credential, where they may be read, and variables.
fn access() -> Result<S3Access, Problem> {
    let flags = settings::flags()
        .try_get_matches_from(["server"])
        .map_err(|error| Problem::new(Kind::Internal, "No flags", error.to_string(), ""))?;
    let sources = settings::Sources {
        flags: &flags,
        variable: &|name| {
            let set = std::env::var_os(name);
            set.or_else(|| (name == "CREDENTIALS_DIRECTORY").then(|| CREDENTIALS.into()))
        },
        file: &|path| {
            std::fs::read_to_string(path).map_err(|error| match error.kind() {
                // Whoever is no administrator here has variables.
                io::ErrorKind::PermissionDenied => io::ErrorKind::NotFound.into(),
                _ => error,
            })
        },
    };
    Ok(settings::backup_access(&sources)?)
}

async fn restore(line: Restore, data_dir: PathBuf) -> Result<u8, Problem> {
    let (archive, passphrase) = line.archive.open().await?;
    let restored = backup::restore(archive, passphrase, &data_dir, line.force).await?;
    let data_dir = data_dir.display().to_string();
    Ok(client::show(
        &PutBack::new(data_dir, restored),
        line.archive.form.options(),
    ))
}

async fn verify(line: Verify) -> Result<u8, Problem> {
    let (archive, passphrase) = line.archive.open().await?;
    let scratch = line.scratch.unwrap_or_else(std::env::temp_dir);
    let inside = backup::verify(archive, passphrase, &scratch).await?;
    Ok(client::show(&Whole(inside), line.archive.form.options()))
}

fn parsed<L: CommandFactory + FromArgMatches>(
    words: &[String],
    name: &'static str,
) -> Result<L, clap::Error> {
    let matches = L::command().bin_name(name).try_get_matches_from(words)?;
    L::from_arg_matches(&matches)
}

impl Form {
    fn options(&self) -> Options {
        Options {
            format: match self.format.as_str() {
                "json" => Format::Json,
                _ => Format::Text,
            },
            ..Options::default()
        }
    }
}

impl Archive {
    async fn open(&self) -> Result<(Box<dyn Read + Send>, Secret), Problem> {
        let is_stdin = self.file == "-";
        let passphrase = match &self.passphrase_file {
            Some(path) => read_passphrase_file(path)?,
            None if is_stdin => {
                return Err(Problem::new(
                    Kind::Usage,
                    "The passphrase has to come from a file",
                    "standard input is the backup",
                    "Use --passphrase-file FILE",
                ));
            }
            None => asked()?,
        };
        if is_stdin {
            return Ok((Box::new(io::stdin()), passphrase));
        }
        if BucketPlace::is_meant(&self.file) {
            let place = bucket(&self.file)?;
            let (place, name) = place.split().ok_or_else(|| {
                Problem::new(
                    Kind::Usage,
                    format!("{place} is a bucket, and no backup in it"),
                    "the name is missing",
                    format!("See what is there: `mini backup:list --from {place}`"),
                )
            })?;
            let archives = Archives::at(&BackupPlace::Bucket(place.clone()), &access()?)?;
            return Ok((Box::new(archives.read(name).await?), passphrase));
        }
        let file = File::open(&self.file).map_err(|error| {
            Problem::new(
                Kind::NotFound,
                format!("{} could not be opened", self.file),
                error.to_string(),
                "Give the file that `backup:create` wrote",
            )
        })?;
        Ok((Box::new(io::BufReader::new(file)), passphrase))
    }
}

/// The passphrase as it is typed, not shown, or the first line of standard input.
fn asked() -> Result<Secret, Problem> {
    let hidden = io::stdin().is_terminal().then(|| {
        say(Stream::Stderr, "Passphrase of the backup: ");
        terminal::Hidden::enter()
    });
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    drop(hidden);
    let problem = |why: String| {
        Problem::new(
            Kind::Invalid,
            "There is no passphrase",
            why,
            "Type it when asked, or name a file that has it in its first line: --passphrase-file FILE",
        )
    };
    read.map_err(|error| problem(error.to_string()))?;
    let line = line.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        return Err(problem("the input was empty".to_owned()));
    }
    Ok(Secret::new(line))
}

/// The file that `backup:create --to` writes. In a folder it gets a name with the moment.
pub(super) fn new_file(to: &Path) -> Result<NewFile, Problem> {
    let name = format!("mini-{}.age", Timestamp::now().strftime("%Y%m%dT%H%M%SZ"));
    let place = match to.is_dir() {
        true => {
            // Names with a moment are made here alone; a server's have its id in them. If the folder may not be read, nothing is lost.
            let _ = NewFile::remove_leftovers(to, is_own_name);
            to.join(name)
        }
        false => to.to_owned(),
    };
    Ok(backup::new_file(&place)?)
}

/// Whether [`new_file`] gave a file its name: `mini-20261122T130444Z.age`.
fn is_own_name(name: &str) -> bool {
    let moment = name
        .strip_prefix("mini-")
        .and_then(|rest| rest.strip_suffix("Z.age"));
    moment.is_some_and(|moment| {
        moment.len() == 15 && moment.bytes().all(|b| b.is_ascii_digit() || b == b'T')
    })
}

/// Refuses to fill a terminal with bytes.
pub(super) fn require_file() -> Result<(), Problem> {
    if !io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Problem::new(
        Kind::Usage,
        "A backup is nothing to be shown",
        "it would go to your terminal, as bytes that are no text",
        "Name a file or a folder: `mini backup:create --to FILE`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_into_a_folder_takes_away_what_a_crash_has_left_of_one() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join(".mini-20261122T130444Z.age.part");
        let of_server = folder
            .path()
            .join(".mini-vm-x-20261122T130444000Z.age.part");
        std::fs::write(&own, "half").unwrap();
        std::fs::write(&of_server, "half").unwrap();
        let first = new_file(folder.path()).unwrap();
        assert!(!own.exists() && of_server.exists());
        let name = first.place().file_name().unwrap().to_str().unwrap();
        assert!(is_own_name(name), "{name}");
    }
}
