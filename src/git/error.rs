//! Why git did not do what was asked.

/// Why git did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// `git` is not installed or too old.
    #[error("{0}")]
    Missing(String),
    /// The commit or the repository does not exist.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The branch is not where the caller believed.
    #[error("the branch has moved")]
    Moved,
    /// The tree holds something that cannot be built: a submodule, too much, a link that leaves the tree.
    #[error("{what}")]
    Unusable {
        /// What it is.
        what: String,
        /// What to do about it.
        next: String,
    },
    /// Reading or writing failed.
    #[error("the repository could not be read or written")]
    Io(#[from] std::io::Error),
    /// Anything else git said.
    #[error("git failed: {0}")]
    Failed(String),
}

impl GitError {
    /// For a failure inside gix, whose error types change with every release.
    pub(super) fn reading(error: impl std::fmt::Display) -> Self {
        GitError::Failed(error.to_string())
    }

    pub(super) fn unusable(what: impl Into<String>, next: impl Into<String>) -> Self {
        GitError::Unusable {
            what: what.into(),
            next: next.into(),
        }
    }
}
