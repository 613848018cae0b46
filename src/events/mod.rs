//! Owns `Event` and the journal that numbers, stores and streams events.
//! Must not know who emits them or how a reader shows them.

use serde::{Deserialize, Serialize};

use crate::model::{DeployId, Problem, Step, Timestamp};

mod follow;
mod journal;
mod live;
mod render;
mod writer;

pub use journal::Journal;
pub use render::render;

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Subject {
    /// One run of the pipeline.
    Deploy(DeployId),
}

impl Subject {
    /// The text it is stored under.
    fn key(&self) -> String {
        match self {
            Subject::Deploy(id) => format!("deploy:{id}"),
        }
    }
}

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What it is about.
    pub subject: Subject,
    /// Its number within the subject, from 1 without gaps.
    pub seq: u64,
    /// When it was emitted.
    pub at: Timestamp,
    /// What happened.
    pub body: EventBody,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum EventBody {
    /// A step of a deploy began.
    StepStarted {
        /// Which.
        step: Step,
    },
    /// A heading: `-----> text`.
    Header {
        /// The text.
        text: String,
    },
    /// A heading of a section: `=====> text`.
    Section {
        /// The text.
        text: String,
    },
    /// One line of output, without its end.
    Line {
        /// The text.
        text: String,
    },
    /// Something the owner should know, which stops nothing.
    Warning {
        /// The text.
        text: String,
    },
    /// A step ended well.
    StepFinished {
        /// Which.
        step: Step,
        /// How long it took.
        duration_ms: u64,
    },
    /// The subject ended with a problem; nothing follows.
    Failed {
        /// The problem.
        problem: Problem,
    },
    /// The subject ended well; nothing follows.
    Done,
}

impl EventBody {
    /// Whether nothing follows it.
    pub fn is_last(&self) -> bool {
        matches!(self, EventBody::Failed { .. } | EventBody::Done)
    }
}

#[cfg(test)]
mod tests;
