//! The table of versions there are images for: `buildpacks/versions.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Versions by runtime, with the day they were looked up.
#[derive(Debug, Deserialize)]
pub(crate) struct KnownVersions {
    /// The day the table was last compared with its source, `YYYY-MM-DD`. Ends of life are measured from it unless the caller
    /// says what day it is.
    pub(crate) date: String,
    /// Where the figures come from.
    #[expect(
        dead_code,
        reason = "a statement for the reader of the file, required by its form"
    )]
    pub(crate) source: String,
    #[serde(flatten)]
    pub(crate) runtimes: BTreeMap<String, KnownRuntime>,
}

#[derive(Debug, Deserialize)]
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
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReleaseLine {
    pub(crate) version: String,
    /// The newest release known, against which ranges are tried.
    pub(crate) latest: String,
    /// The day security fixes end, `YYYY-MM-DD`.
    pub(crate) end_of_life: Option<String>,
}

impl KnownRuntime {
    pub(crate) fn line(&self, version: &str) -> Option<&ReleaseLine> {
        self.lines.iter().find(|line| line.version == version)
    }

    /// Lines in the order of preference: the default, then the newest first.
    pub(crate) fn preferred(&self) -> impl Iterator<Item = &ReleaseLine> {
        let others = self
            .lines
            .iter()
            .rev()
            .filter(|line| line.version != self.default);
        self.line(&self.default).into_iter().chain(others)
    }
}
