//! What the caller asks of every command alike.

use serde::{Deserialize, Serialize};

/// The form of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Lines for people; `text` and Dokku's `stdout` both name it.
    #[default]
    #[serde(alias = "stdout")]
    Text,
    /// The value the HTTP API answers.
    Json,
}

/// What the caller asks of every command alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// The form of the answer.
    pub format: Format,
    /// Leave out the headings.
    pub quiet: bool,
    /// Say more about what happens.
    pub trace: bool,
    /// The reader is a terminal that shows colours, though its keys are not sent one by one.
    pub colour: bool,
    /// Width of that terminal in characters.
    pub columns: Option<u16>,
}
