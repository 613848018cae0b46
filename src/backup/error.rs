//! Why a backup could not be made, read or put back, and what a person is told about it.

use std::io;

use super::s3::Failure;
use crate::engine::EngineError;
use crate::git::GitError;
use crate::model::{Kind, Problem};
use crate::store::StoreError;

/// Why a backup could not be made, read or put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It does not begin as an archive of ours.
    #[error("this is no backup of mini: {0}")]
    NotABackup(String),
    /// The passphrase does not open it.
    #[error("the passphrase is not the one of this backup")]
    WrongPassphrase,
    /// It ends too early.
    #[error("the backup is not whole")]
    Truncated,
    /// Something in it was changed.
    #[error("the backup is damaged")]
    Damaged,
    /// It was sealed in order, but what is in it does not belong together.
    #[error("the backup does not hold what it should: {0}")]
    Unsound(String),
    /// A newer mini made it, in a format this one does not know.
    #[error("a newer mini made this backup")]
    Newer {
        /// The version of that mini.
        version: String,
    },
    /// It holds what mini never writes: somebody made it to do harm.
    #[error("this backup was not made by mini: {0}")]
    Hostile(String),
    /// It would unpack to more than the disk has.
    #[error("the disk has no room for what is in the backup")]
    TooLarge,
    /// The archive could not be read.
    #[error("the backup could not be read")]
    Read(#[source] io::Error),
    /// The archive could not be written.
    #[error("the backup could not be written")]
    Write(#[source] io::Error),
    /// A file of the data directory, or of a copy of it, could not be read or written.
    #[error("{file} could not be used")]
    File {
        /// Which.
        file: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system gave no randomness, or the cipher failed.
    #[error("the backup could not be encrypted")]
    Randomness,
    /// The database said no.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// Git said no.
    #[error("the repository of {app} could not be used")]
    Git {
        /// The app.
        app: String,
        /// What git said.
        #[source]
        source: GitError,
    },
    /// Docker said no.
    #[error("the storage could not be read")]
    Engine(#[source] EngineError),
    /// A folder of the storage could not be read whole.
    #[error("the folder {name} of the storage could not be backed up")]
    Storage {
        /// Which.
        name: String,
        /// Why.
        why: String,
    },
    /// An app was renamed or destroyed while it was backed up.
    #[error("the backup was not finished: {0} was renamed or destroyed in the middle of it")]
    Moved(String),
    /// There is something where a backup is to be put back.
    #[error("the data directory {0} is not empty")]
    NotEmpty(String),
    /// A store of archives did not do what was asked.
    #[error("{place} could not be used")]
    Bucket {
        /// Which.
        place: String,
        /// Why.
        #[source]
        why: Failure,
    },
    /// Whoever read it has left, or the server stops.
    #[error("the backup was called off")]
    Canceled,
}

impl BackupError {
    /// It and its causes in one line, for a record.
    pub(super) fn to_line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            line = format!("{line}: {error}");
            cause = error.source();
        }
        line
    }

    /// A failed use of a file of ours.
    pub(super) fn file(file: impl Into<String>, source: io::Error) -> Self {
        BackupError::File {
            file: file.into(),
            source,
        }
    }
}

/// What to do about a system that refused to read or write.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space there, or give another place; nothing half made was left behind"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "give a place that may be used; by hand `sudo` may do, a schedule writes as the user of the server"
        }
        io::ErrorKind::AlreadyExists => {
            "give another name: a backup never takes the place of another"
        }
        _ => "look at the disk, then try again",
    }
}

/// With a capital letter, where it begins with a word: `s3://bucket` is a name, and so is `mini.db`.
fn begun(what: &str) -> String {
    let word = what.split(' ').next().unwrap_or_default();
    let mut letters = what.chars();
    match letters.next() {
        Some(first) if word.chars().all(char::is_alphabetic) => {
            first.to_uppercase().chain(letters).collect()
        }
        _ => what.to_owned(),
    }
}

impl From<BackupError> for Problem {
    fn from(error: BackupError) -> Self {
        let what = begun(&error.to_string());
        let problem = |kind, why: String, next: &str| Problem::new(kind, what.clone(), why, next);
        match error {
            BackupError::NotABackup(_) => problem(
                Kind::Invalid,
                String::new(),
                "Give the file that `backup:create` wrote",
            ),
            BackupError::WrongPassphrase => problem(
                Kind::Invalid,
                "nothing can be read with another one".to_owned(),
                "Look where you keep the passphrases; without the right one the backup is of no use",
            ),
            BackupError::Truncated => problem(
                Kind::Invalid,
                "it ends too early, or its end was changed: perhaps it was not copied to its end"
                    .to_owned(),
                "Copy it again from where it was made, or use another backup",
            ),
            BackupError::Damaged => problem(
                Kind::Invalid,
                "it was changed after it was made: a disk or a transfer has damaged it".to_owned(),
                "Copy it again from where it was made, or use another backup",
            ),
            BackupError::Unsound(_) => problem(
                Kind::Invalid,
                String::new(),
                "Use another backup, and keep this one to find out why",
            ),
            BackupError::Newer { version } => problem(
                Kind::Invalid,
                format!("mini {version} wrote it in a format this one does not know"),
                "Install that mini or a later one, and try again",
            ),
            BackupError::Hostile(_) => problem(
                Kind::Invalid,
                String::new(),
                "Do not use it. Nothing of it was put in place",
            ),
            BackupError::TooLarge => problem(
                Kind::Unavailable,
                "it unpacks to more than is free".to_owned(),
                "Free some space, or give a larger disk",
            ),
            BackupError::Read(source) => {
                problem(Kind::Unavailable, source.to_string(), remedy(&source))
            }
            BackupError::Write(source) => {
                problem(Kind::Unavailable, source.to_string(), remedy(&source))
            }
            BackupError::File { source, .. } => {
                problem(Kind::Unavailable, source.to_string(), remedy(&source))
            }
            BackupError::Randomness => problem(
                Kind::Internal,
                "the system gave no random numbers or no memory".to_owned(),
                "Try again",
            ),
            BackupError::Store(error) => Problem::from(error),
            BackupError::Git { source, .. } => {
                let mut why = source.to_string();
                let mut cause = std::error::Error::source(&source);
                while let Some(error) = cause {
                    why = format!("{why}: {error}");
                    cause = error.source();
                }
                problem(Kind::Internal, why, "")
            }
            BackupError::Engine(error) => {
                let cause = Problem::from(error);
                let why = match cause.why.is_empty() {
                    true => cause.what,
                    false => format!("{}: {}", cause.what, cause.why),
                };
                problem(cause.kind, why, &cause.next)
            }
            BackupError::Storage { why, .. } => problem(
                Kind::Unavailable,
                why,
                "Try again when its apps write less, or stop them meanwhile: `ps:stop APP`",
            ),
            BackupError::Moved(_) => {
                problem(Kind::Busy, String::new(), "Run the same command again")
            }
            BackupError::NotEmpty(_) => problem(
                Kind::Busy,
                "a server has been at work there, and what it knows would be replaced".to_owned(),
                "Give another folder with --data-dir, or use --force, which keeps beside what is there now",
            ),
            BackupError::Bucket { why, .. } => {
                let kind = match why {
                    Failure::NoBucket | Failure::NoArchive => Kind::NotFound,
                    Failure::NoKeys => Kind::Invalid,
                    _ => Kind::Unavailable,
                };
                problem(kind, why.to_string(), why.remedy())
            }
            BackupError::Canceled => problem(
                Kind::Canceled,
                "whoever read it has left, or the server stops".to_owned(),
                "",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_begins_with_a_capital_letter_but_a_name_stays_as_it_is() {
        let begins = |what: &str, begun_with: &str| assert_eq!(begun(what), begun_with);
        begins("the backup is not whole", "The backup is not whole");
        begins(
            "s3://bucket/mini could not be used",
            "s3://bucket/mini could not be used",
        );
        begins("mini.db is damaged", "mini.db is damaged");
        begins("", "");
    }
}
