//! What somebody decided about an app, and where they said so.

use std::fmt;

/// Where a decision was made. As text: `mini.toml:3`, `MINI_NODE_VERSION`, "the app's setting `build-dir`".
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A setting of the app, made with a command.
    Setting(&'static str),
    /// A variable of the app.
    Variable(String),
    /// A file of the repository.
    File {
        /// Its path from the root.
        file: String,
        /// The line, from 1, where one is known.
        line: Option<usize>,
    },
}

impl Origin {
    /// What to do about a decision that cannot be followed; `how` is empty or goes on after "change it".
    pub(crate) fn correction(&self, how: &str) -> String {
        let how = if how.is_empty() {
            String::new()
        } else {
            format!(" {how}")
        };
        match self {
            Self::Setting(_) | Self::Variable(_) => format!("change {self}{how}, and build again"),
            Self::File { .. } => format!("change {self}{how}, commit, and push again"),
        }
    }

    /// The file and line, where it is a file.
    #[must_use]
    pub fn location(&self) -> Option<(&str, Option<usize>)> {
        match self {
            Self::File { file, line } => Some((file, *line)),
            Self::Setting(_) | Self::Variable(_) => None,
        }
    }

    /// The file, or the name of the setting or variable.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Setting(name) => name,
            Self::Variable(name) => name,
            Self::File { file, .. } => file,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(name) => write!(f, "the app's setting `{name}`"),
            Self::Variable(name) => f.write_str(name),
            Self::File { file, line } => f.write_str(&place(file, *line)),
        }
    }
}

/// A value somebody decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

impl Said {
    pub(crate) fn setting(name: &'static str, value: &str) -> Self {
        Self {
            value: value.to_owned(),
            origin: Origin::Setting(name),
        }
    }
}

/// `file:line`, the form editors and terminals understand.
pub(crate) fn place(file: &str, line: Option<usize>) -> String {
    match line {
        Some(line) => format!("{file}:{line}"),
        None => file.to_owned(),
    }
}
