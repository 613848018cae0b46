//! The table of versions there are images for: `buildpacks/versions.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::manifest::line_at;

/// A table of versions of the operator's own, in the form of `buildpacks/versions.toml`. A runtime it has replaces the one that
/// came with the program; the others stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionTable(pub(crate) KnownVersions);

impl VersionTable {
    /// Reads the text of such a file.
    ///
    /// # Errors
    /// What is wrong with it, with the line where that is known.
    pub fn parse(text: &str) -> Result<Self, String> {
        let known: KnownVersions = toml::from_str(text).map_err(|error| {
            let message = error.message().replace(char::is_control, " ");
            // Where a value has the wrong type, serde knows no place in a table of tables.
            match error.span().filter(|span| span.start > 0) {
                Some(span) => format!("line {}: {message}", line_at(text, span.start)),
                None => message,
            }
        })?;
        for (name, runtime) in &known.runtimes {
            let is_word = |text: &str| {
                !text.is_empty()
                    && text
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            };
            if let Some(line) = runtime.lines.iter().find(|line| !is_word(&line.version)) {
                let shown = line.version.escape_debug();
                return Err(format!(
                    "{name}: `{shown}` cannot stand in the tag of an image"
                ));
            }
            if runtime.line(&runtime.default).is_none() {
                let default = runtime.default.escape_debug();
                return Err(format!(
                    "{name}: the default `{default}` is not among its lines"
                ));
            }
            for (alias, target) in &runtime.aliases {
                if runtime.line(target).is_none() {
                    let (alias, target) = (alias.escape_debug(), target.escape_debug());
                    return Err(format!(
                        "{name}: `{alias}` stands for `{target}`, which is not among its lines"
                    ));
                }
            }
        }
        Ok(Self(known))
    }
}

/// Versions by runtime, with the day they were looked up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct KnownVersions {
    /// The day the table was last compared with its source, `YYYY-MM-DD`. Ends of life are measured from it unless the caller
    /// says what day it is.
    pub(crate) date: String,
    /// Where the figures come from.
    pub(crate) source: String,
    #[serde(flatten)]
    pub(crate) runtimes: BTreeMap<String, KnownRuntime>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnownRuntime {
    /// The line taken where an app does not care.
    pub(crate) default: String,
    /// Lines that have an image of their own, oldest first.
    pub(crate) lines: Vec<ReleaseLine>,
    /// Names that are no version: `lts/*`.
    #[serde(default)]
    pub(crate) aliases: BTreeMap<String, String>,
}

/// Releases that replace one another: `22`, `3.13`. An image tag names the line, so an app gets its security fixes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReleaseLine {
    pub(crate) version: String,
    /// The newest release known, against which ranges are tried.
    pub(crate) latest: String,
    /// The day security fixes end, `YYYY-MM-DD`.
    pub(crate) end_of_life: Option<String>,
    /// It never gets long support: taken only where nothing else will do.
    #[serde(default)]
    pub(crate) is_short_lived: bool,
    /// The lines of another runtime that images of this one are made with, where an app may choose: `{ erlang = ["26", "27"] }`.
    #[serde(default)]
    pub(crate) with: BTreeMap<String, Vec<String>>,
}

impl KnownRuntime {
    pub(crate) fn line(&self, version: &str) -> Option<&ReleaseLine> {
        self.lines.iter().find(|line| line.version == version)
    }

    /// The line a version belongs to: itself, or the longest it begins with (`22` for `22.11.0`).
    pub(crate) fn line_of(&self, version: &str) -> Option<&ReleaseLine> {
        let is_of = |line: &&ReleaseLine| {
            version
                .strip_prefix(line.version.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.lines
            .iter()
            .filter(is_of)
            .max_by_key(|line| line.version.len())
    }

    /// Lines in the order of preference: the default, then the newest first, those that are short-lived last.
    pub(crate) fn preferred(&self) -> impl Iterator<Item = &ReleaseLine> {
        let others = |is_short_lived: bool| {
            self.lines.iter().rev().filter(move |line| {
                line.version != self.default && line.is_short_lived == is_short_lived
            })
        };
        let default = self.line(&self.default).into_iter();
        default.chain(others(false)).chain(others(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let head = "date = \"2026-11-20\"\nsource = \"our mirror\"\n";
        let error = VersionTable::parse(&format!("{head}{text}")).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn a_table_of_the_operator_is_read_whole_or_not_at_all() {
        check("[node]\ndefault = = 22\n", "line 4");
        check("[node]\ndefault = 22\n", "expected a string");
        check("[node]\ndefault = \"9\"\nlines = []\n", "the default `9`");
        check(
            "[node]\ndefault = \"9\"\nlines = [{ version = \"9 AS x\", latest = \"9\" }]\n",
            "`9 AS x` cannot stand",
        );
    }
}
