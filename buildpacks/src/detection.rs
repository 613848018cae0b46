//! What is known of a repository once it has been looked at.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::environment::Suggestion;

/// What a repository is and how it is built and run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detection {
    /// The language's short name: the folder in `buildpacks/`.
    pub language: String,
    /// The framework, where one is known: `next`, `django`.
    pub variant: Option<String>,
    /// The program that installs dependencies.
    pub package_manager: Option<String>,
    /// The version of the main runtime, as in its image tag: `22`, `3.13`.
    pub version: Option<String>,
    /// Every runtime with the version taken and where it is pinned.
    pub versions: BTreeMap<String, RuntimeVersion>,
    /// The command of `web`; none where the image's own command is right, or where there is no `web`.
    pub start: Option<String>,
    /// The command that installs dependencies, where there is one.
    pub install: Option<String>,
    /// The build command, where the app has one.
    pub build: Option<String>,
    /// Process types and their commands for `/bin/sh -c` (see [`crate::procfile::shell_argv`]); `None` is the image's own command.
    pub processes: BTreeMap<String, Option<String>>,
    /// What to run once per deploy, before the new processes start.
    pub release_command: Option<String>,
    /// What to run in the finished image, which keeps what it changes (app.json, `scripts.dokku.predeploy`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predeploy_command: Option<String>,
    /// The directory that is served as it is, `.` for the root.
    pub static_root: Option<String>,
    /// The directory of the app, from the root of the repository; `.` for the root.
    pub directory: String,
    /// The directory the build sees: that of the app, or `.` where it needs the whole repository.
    pub context: String,
    /// `dockerfile` or `buildpack:LANGUAGE`.
    pub builder: String,
    /// Why this was chosen, one short sentence each.
    pub evidence: Vec<String>,
    /// The whole Dockerfile: the app's own, or the one written for it.
    pub dockerfile: String,
    /// Where the app's own Dockerfile is, from the root of the repository; none if it was written for it.
    pub dockerfile_path: Option<String>,
    /// The stage to build; none for the last.
    pub target: Option<String>,
    /// Values for `ARG`, which are no secrets.
    pub arguments: BTreeMap<String, String>,
    /// Variables the app is likely to want.
    pub environment: Vec<Suggestion>,
    /// What the user should know although the build goes on.
    pub warnings: Vec<String>,
    /// Images the Dockerfile starts from, to be pulled before the build.
    pub base_images: Vec<String>,
}

/// The version of one runtime and the reason for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeVersion {
    /// The version taken, as in the image tag.
    pub version: String,
    /// The version or range the app asks for, as written; none where it does not care.
    pub wanted: Option<String>,
    /// The file it is written in, or the variable.
    pub source: Option<String>,
    /// The line in that file, from 1.
    pub line: Option<usize>,
}
