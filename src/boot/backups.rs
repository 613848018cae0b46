//! `mini backup:verify`, `mini backup:restore` and where `mini backup:create` writes: what happens where `mini` is typed,
//! without a server.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::{CommandFactory, FromArgMatches, Parser};

use super::{clap_said, client, say, terminal};
use crate::backup::{self, NewFile};
use crate::commands::backup::{PutBack, Whole, read_passphrase_file};
use crate::commands::{Format, Options};
use crate::engine::Stream;
use crate::model::{Kind, Problem, Secret, Timestamp};

/// The archive and its passphrase.
#[derive(Debug, clap::Args)]
struct Archive {
    /// The backup; - for standard input
    file: PathBuf,
    /// The file that has the passphrase in its first line; without it the passphrase is asked for
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// The form of the answer
    #[arg(long, value_parser = ["text", "json"], default_value = "text")]
    format: String,
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

/// Runs one of the two.
pub(super) fn run(words: &[String], data_dir: Option<PathBuf>) -> Result<u8, Problem> {
    if words.first().is_some_and(|word| word == "backup:restore") {
        match parsed::<Restore>(words, "mini backup:restore") {
            Ok(line) => client::block_on(restore(line, client::chosen(data_dir))),
            Err(error) => Ok(clap_said(&error)),
        }
    } else {
        match parsed::<Verify>(words, "mini backup:verify") {
            Ok(line) => client::block_on(verify(line)),
            Err(error) => Ok(clap_said(&error)),
        }
    }
}

async fn restore(line: Restore, data_dir: PathBuf) -> Result<u8, Problem> {
    let (archive, passphrase) = line.archive.open()?;
    let restored = backup::restore(archive, passphrase, &data_dir, line.force).await?;
    let data_dir = data_dir.display().to_string();
    Ok(client::show(
        &PutBack::new(data_dir, restored),
        line.archive.options(),
    ))
}

async fn verify(line: Verify) -> Result<u8, Problem> {
    let (archive, passphrase) = line.archive.open()?;
    let scratch = line.scratch.unwrap_or_else(std::env::temp_dir);
    let inside = backup::verify(archive, passphrase, &scratch).await?;
    Ok(client::show(&Whole(inside), line.archive.options()))
}

fn parsed<L: CommandFactory + FromArgMatches>(
    words: &[String],
    name: &'static str,
) -> Result<L, clap::Error> {
    let matches = L::command().bin_name(name).try_get_matches_from(words)?;
    L::from_arg_matches(&matches)
}

impl Archive {
    fn options(&self) -> Options {
        Options {
            format: match self.format.as_str() {
                "json" => Format::Json,
                _ => Format::Text,
            },
            ..Options::default()
        }
    }

    fn open(&self) -> Result<(Box<dyn Read + Send>, Secret), Problem> {
        let is_stdin = self.file == Path::new("-");
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
        let file = File::open(&self.file).map_err(|error| {
            Problem::new(
                Kind::NotFound,
                format!("{} could not be opened", self.file.display()),
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
        true => to.join(name),
        false => to.to_owned(),
    };
    Ok(NewFile::begin(&place)?)
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
