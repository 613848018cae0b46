//! Commands around those of the language: what nixpacks.toml and railpack.json write as a list with `...` in it.

use super::joined;
use crate::said::Said;

/// Stands for what the builder would do by itself.
pub(super) const DEFAULT: &str = "...";

#[derive(Debug, Default)]
pub(crate) struct Around {
    pub(crate) before: Vec<Said>,
    pub(crate) behind: Vec<Said>,
}

impl Around {
    pub(crate) fn is_empty(&self) -> bool {
        self.before.is_empty() && self.behind.is_empty()
    }

    /// The first command, for its origin.
    pub(crate) fn first(&self) -> Option<&Said> {
        self.before.first().or_else(|| self.behind.first())
    }

    /// One line of the commands with `own` between them.
    pub(crate) fn line(&self, own: Option<String>) -> String {
        let before = self.before.iter().map(|said| said.value.clone());
        let behind = self.behind.iter().map(|said| said.value.clone());
        let commands: Vec<String> = before.chain(own).chain(behind).collect();
        commands.join(" && ")
    }

    /// Commands that replace those of the language, with these around them; nothing where there are none.
    pub(super) fn replaced(&mut self, commands: Vec<Said>) -> Option<Said> {
        let Self { before, behind } = std::mem::take(self);
        joined(before.into_iter().chain(commands).chain(behind).collect())
    }
}

/// A list of commands: one line where it replaces those of the language, else what is before and behind `...`.
pub(super) fn read(commands: Vec<Said>) -> Result<Option<Said>, Around> {
    let Some(at) = commands.iter().position(|said| said.value == DEFAULT) else {
        return Ok(joined(commands));
    };
    let mut before = commands;
    let behind = before.split_off(at);
    let behind = behind
        .into_iter()
        .filter(|said| said.value != DEFAULT)
        .collect();
    Err(Around { before, behind })
}
