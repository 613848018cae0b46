//! Which subjects are live, and the channels their events are published on.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use super::{Event, Subject};

/// How many events a reader may be behind before it has to read the store.
const BEHIND: usize = 256;

type Subjects = HashMap<Subject, broadcast::Sender<Event>>;

/// The live subjects: this process has begun them or emitted for them, and their last event has not been published. What is not live
/// is completely in the store.
#[derive(Default)]
pub(super) struct Live {
    subjects: Mutex<Subjects>,
}

impl Live {
    fn subjects(&self) -> MutexGuard<'_, Subjects> {
        self.subjects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a subject live if it is not.
    pub(super) fn begin(&self, subject: &Subject) {
        begin(&mut self.subjects(), subject);
    }

    /// The events published from now on; `None` if the subject is not live.
    pub(super) fn subscribe(&self, subject: &Subject) -> Option<broadcast::Receiver<Event>> {
        self.subjects()
            .get(subject)
            .map(broadcast::Sender::subscribe)
    }

    /// Hands a stored event to all who follow its subject. The subject is live until [`Live::end`], even if an end that
    /// was queued before this event has come in between.
    pub(super) fn publish(&self, event: Event) {
        let mut subjects = self.subjects();
        begin(&mut subjects, &event.subject);
        if let Some(sender) = subjects.get(&event.subject) {
            // That nobody listens is no error.
            let _ = sender.send(event);
        }
    }

    /// Makes a subject no longer live: its followers get what was published, then their stream ends.
    pub(super) fn end(&self, subject: &Subject) {
        self.subjects().remove(subject);
    }

    /// Makes no subject live.
    pub(super) fn end_all(&self) {
        self.subjects().clear();
    }
}

fn begin(subjects: &mut Subjects, subject: &Subject) {
    if !subjects.contains_key(subject) {
        subjects.insert(subject.clone(), broadcast::Sender::new(BEHIND));
    }
}
