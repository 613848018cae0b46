//! A release: image, frozen config and process types, numbered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::deploy::text_enum;
use super::{
    AppId, Check, CommitId, ConfigVars, ImageId, ProcessType, ReleaseVersion, Scale, Timestamp,
    Trigger,
};

text_enum!(
    /// Where a release stands. At most one of an app is `current`; a `candidate` or `prepared` one runs beside it.
    ReleaseStatus, "release status" {
        /// Its processes are wanted so that they can be checked; it gets no requests.
        Candidate = "candidate",
        /// Checked and promised: it becomes current as soon as its branch has moved.
        Prepared = "prepared",
        /// Serves.
        Current = "current",
        /// Was current; its processes finish their requests and go.
        Draining = "draining",
        /// Was current; nothing of it runs.
        Retired = "retired",
        /// Never became current; nothing of it runs.
        Failed = "failed",
    }
);

/// The command of a process type: a line for `/bin/sh -c`, or `None` for the image's own command.
pub type ProcessCommand = Option<String>;

/// A release of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The app.
    pub app: AppId,
    /// Its number.
    pub version: ReleaseVersion,
    /// Where it stands.
    pub status: ReleaseStatus,
    /// The image all its processes run.
    pub image: ImageId,
    /// The commit the image was built from.
    pub commit: Option<CommitId>,
    /// What it can run.
    pub processes: BTreeMap<ProcessType, ProcessCommand>,
    /// The command run once before the release starts (Procfile `release`).
    pub release_command: Option<String>,
    /// The command run once after the release serves (app.json `scripts.dokku.postdeploy`).
    pub postdeploy_command: Option<String>,
    /// What `web` runs in place of its own command (`ps:set APP start-cmd`).
    pub start_command: Option<String>,
    /// How many processes run of each type, where app.json says so: the scale of the app as soon as the release serves.
    pub formation: Option<Scale>,
    /// The port `web` listens on, given to it as `PORT`.
    pub port: u16,
    /// The checks each process type must pass; a type that is not named has the default one.
    pub checks: BTreeMap<ProcessType, Vec<Check>>,
    /// The config vars as they were when it was made. Not part of any answer.
    #[serde(skip)]
    pub config: ConfigVars,
    /// What set it off.
    pub trigger: Trigger,
    /// One line for the list: "Deploy 3f2c91a", "Set KEY", "Rollback to v3".
    pub description: String,
    /// Who made it.
    pub actor: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// While draining: when its processes are stopped even with requests in flight.
    pub drain_until: Option<Timestamp>,
}

impl Release {
    /// What the processes of a type run: a line for a shell, or none for the image's own command.
    pub fn command(&self, process_type: &ProcessType) -> ProcessCommand {
        let instead = self.start_command.clone();
        instead
            .filter(|_| process_type.is_web())
            .or_else(|| self.processes.get(process_type).cloned().flatten())
    }

    /// Whether serving it starts an app that was stopped: new code does, a changed config var does not.
    pub fn starts_app(&self) -> bool {
        matches!(self.trigger, Trigger::Push | Trigger::Rebuild)
    }
}
