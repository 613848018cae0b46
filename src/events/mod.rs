//! Owns `Event` and the journal that numbers, stores and streams events.
//! Must not know who emits them or how a reader shows them.

use std::path::Path;

use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::model::{DeployId, Problem, Step, Timestamp};
use crate::store::StoreError;

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Subject {
    /// One run of the pipeline.
    Deploy(DeployId),
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

/// The journal. Cheap to clone.
#[derive(Clone)]
pub struct Journal {}

#[allow(unused_variables, clippy::todo)]
impl Journal {
    /// Opens or creates `<data_dir>/events.db`; a damaged one is set aside and begun anew, for it is not state.
    pub fn open(data_dir: &Path) -> Result<Journal, StoreError> {
        todo!()
    }

    /// Numbers, stores and publishes an event. Waits only when the journal's bounded queue is full.
    pub async fn emit(&self, subject: &Subject, body: EventBody) {
        todo!()
    }

    /// Stored events from `from_seq` on, then live ones, without gap or repeat; ends after the subject's last event, or
    /// at once after the stored ones when the subject is not live.
    pub fn follow(&self, subject: &Subject, from_seq: u64) -> BoxStream<'static, Event> {
        todo!()
    }

    /// Forgets a subject.
    pub async fn forget(&self, subject: &Subject) {
        todo!()
    }

    /// Finishes what is queued and closes the file.
    pub async fn close(&self) {
        todo!()
    }
}
