//! Failures of the modules below, in the words of someone who typed a command.

use std::error::Error;

use crate::engine::EngineError;
use crate::git::GitError;
use crate::model::{AppName, Kind, Problem};

/// The app has no release yet, and the command is about one.
pub(super) fn not_deployed(name: &AppName) -> Problem {
    Problem::new(
        Kind::Invalid,
        format!("App {name} has not been deployed"),
        "nothing has been pushed to it yet, or no push has succeeded",
        "push to it with `git push mini main`",
    )
}

fn internal(what: &str, cause: &(dyn Error + 'static)) -> Problem {
    let mut chain = cause.to_string();
    let mut next = cause.source();
    while let Some(source) = next {
        chain.push_str(": ");
        chain.push_str(&source.to_string());
        next = source.source();
    }
    tracing::error!(cause = chain, "{what}");
    Problem::new(
        Kind::Internal,
        what,
        "",
        "The log of the server says more: `journalctl -u mini`",
    )
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Unavailable { .. } => Problem::new(
                Kind::Unavailable,
                "Docker does not answer",
                "it is not running, or mini may not use its socket",
                "Start it with `systemctl start docker`, then look with `mini doctor`",
            ),
            EngineError::DiskFull { .. } => Problem::new(
                Kind::Unavailable,
                "The disk of Docker is full",
                "",
                "Free some space, for example with `docker system prune`",
            ),
            EngineError::Gone { what } => {
                Problem::new(Kind::NotFound, format!("{what} does not exist"), "", "")
            }
            EngineError::ImageMissing { image, said } => Problem::new(
                Kind::AppFailed,
                format!("The image {image} was not found"),
                said,
                "Push the app again, or `ps:rebuild` it",
            ),
            EngineError::CannotStart { said } => Problem::new(
                Kind::AppFailed,
                "The process could not be started",
                said,
                "Check the command",
            ),
            EngineError::BuildOutOfMemory { .. }
            | EngineError::CacheLost { .. }
            | EngineError::NoSecrets { .. } => {
                Problem::new(Kind::AppFailed, "The build failed", error.to_string(), "")
            }
            EngineError::BuildFailed { said, .. } => {
                Problem::new(Kind::AppFailed, "The build failed", said, "")
            }
            EngineError::Archive { why } => Problem::new(
                Kind::Invalid,
                "The archive cannot be used",
                why,
                "Send what `docker save IMAGE` writes: `docker save IMAGE | ssh mini git:load-image APP IMAGE`",
            ),
            EngineError::Refused { said } => {
                Problem::new(Kind::Internal, "Docker refused", said, "")
            }
        }
    }
}

impl From<GitError> for Problem {
    fn from(error: GitError) -> Self {
        match error {
            GitError::Missing(_)
            | GitError::NotFound(_)
            | GitError::Moved
            | GitError::Io(_)
            | GitError::Failed(_) => {
                internal("The repository could not be read or written", &error)
            }
            GitError::Unusable { what, next } => Problem::new(Kind::Invalid, what, "", next),
        }
    }
}
