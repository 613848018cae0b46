//! One run of the pipeline, as it is recorded.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{AppId, CommitId, InvalidName, Kind, Problem, ReleaseVersion, Timestamp};

/// The id of a deploy: up to 13 characters of base 36, growing with time, as `builds:list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeployId(String);

impl DeployId {
    /// The id for a deploy that begins at `at`; `salt` keeps two deploys of one millisecond apart.
    pub fn new(at: Timestamp, salt: u16) -> Self {
        let mut number = (at.as_millisecond().unsigned_abs() << 10) | u64::from(salt & 0x3ff);
        let mut digits = Vec::new();
        while number > 0 {
            let digit = char::from_digit((number % 36) as u32, 36).unwrap_or('0');
            digits.push(digit);
            number /= 36;
        }
        Self(digits.iter().rev().collect())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DeployId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let is_valid = (1..=13).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if is_valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName {
                what: "build",
                rule: "A build id is up to 13 lower-case letters and digits, see `builds:list`",
            })
        }
    }
}

impl TryFrom<String> for DeployId {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<DeployId> for String {
    fn from(id: DeployId) -> String {
        id.0
    }
}

impl fmt::Display for DeployId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! text_enum {
    ($(#[$doc:meta])* $type:ident, $what:literal { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $type {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant,)+
        }

        impl $type {
            /// Every value, in order.
            pub const ALL: &'static [$type] = &[$($type::$variant),+];

            /// The word for it in SQL, JSON and output.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($type::$variant => $text,)+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = super::InvalidName;

            fn from_str(text: &str) -> Result<Self, super::InvalidName> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|value| value.as_str() == text)
                    .ok_or(super::InvalidName { what: $what, rule: concat!("Not a known ", $what) })
            }
        }
    };
}
pub(super) use text_enum;

text_enum!(
    /// The steps of a deploy, each written to the store before its work begins.
    Step, "deploy step" {
        /// Waiting for its turn, or only just received.
        Received = "received",
        /// Finding the runtime and writing the Dockerfile.
        Detect = "detect",
        /// Building the image.
        Build = "build",
        /// Running the release command and recording the release.
        Release = "release",
        /// Starting the new processes and checking them.
        Check = "check",
        /// All checks passed; waiting for git to move the branch.
        Prepared = "prepared",
        /// Switching the routes.
        Route = "route",
        /// Done; old processes are retired by the reconciler.
        Live = "live",
    }
);

text_enum!(
    /// How a deploy stands; the first five words are Dokku's for builds.
    DeployStatus, "deploy status" {
        /// Going on, or waiting for its turn.
        Running = "running",
        /// Live.
        Succeeded = "succeeded",
        /// Ended with a problem.
        Failed = "failed",
        /// Stopped on request.
        Canceled = "canceled",
        /// The server stopped in the middle of it.
        Interrupted = "interrupted",
        /// Gave way to a later push while it waited.
        Superseded = "superseded",
    }
);

text_enum!(
    /// What set a deploy off.
    Trigger, "trigger" {
        /// New source: `git push`, or one of the commands that bring it another way (`git:from-image`).
        Push = "push",
        /// A config var changed.
        Config = "config",
        /// `rollback`.
        Rollback = "rollback",
        /// `ps:restart`.
        Restart = "restart",
        /// `ps:rebuild`.
        Rebuild = "rebuild",
    }
);

/// One run of the pipeline; what `builds:list` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deploy {
    /// Its id.
    pub id: DeployId,
    /// The app.
    pub app: AppId,
    /// What set it off.
    pub trigger: Trigger,
    /// The commit, where source is involved.
    pub commit: Option<CommitId>,
    /// Who asked for it.
    pub actor: String,
    /// The step it is in or ended in.
    pub step: Step,
    /// How it stands.
    pub status: DeployStatus,
    /// The release it made, once there is one.
    pub release: Option<ReleaseVersion>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Why it failed, one line.
    pub failure: Option<String>,
    /// The same in a word, where there is one for it.
    pub reason: Option<FailureReason>,
}

text_enum!(
    /// Why a deploy failed, in a word.
    FailureReason, "reason of a failure" {
        /// Its build or its release command took longer than it may.
        Timeout = "timeout",
    }
);

/// How a deploy failed, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployFailure {
    /// One line.
    pub why: String,
    /// The same in a word.
    pub reason: Option<FailureReason>,
}

impl From<&Problem> for DeployFailure {
    fn from(problem: &Problem) -> Self {
        Self {
            why: problem.to_string(),
            reason: (problem.kind == Kind::TimedOut).then_some(FailureReason::Timeout),
        }
    }
}
