//! The pushes that go on: what the random id that a hook presents stands for.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::deploy::Push;
use crate::model::AppName;

/// All pushes that go on. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Pushes {
    by_id: Arc<Mutex<HashMap<String, Entry>>>,
}

#[derive(Debug)]
struct Entry {
    push: Push,
    has_failed: bool,
}

/// A push that goes on, until this is dropped or finished.
#[derive(Debug)]
pub(super) struct Registered {
    id: String,
    pushes: Pushes,
}

/// How a push ended, as far as its hooks told.
pub(super) struct Finished {
    pub(super) push: Push,
    /// Its branch moved but its release could not be switched to.
    pub(super) has_failed: bool,
}

impl Pushes {
    pub(super) fn register(&self, push: Push) -> Registered {
        let id = push.id.clone();
        let entry = Entry {
            push,
            has_failed: false,
        };
        self.lock().insert(id.clone(), entry);
        Registered {
            id,
            pushes: self.clone(),
        }
    }

    /// The push with this id, with the options its hook has received; `None` when there is none or it has ended.
    pub(super) fn find(&self, id: &str, options: Vec<String>) -> Option<Push> {
        let mut by_id = self.lock();
        let entry = by_id.get_mut(id)?;
        entry.push.options = options;
        Some(entry.push.clone())
    }

    /// The apps that are pushed to, each once.
    pub(super) fn apps(&self) -> Vec<AppName> {
        let by_id = self.lock();
        let apps: BTreeSet<AppName> = by_id.values().map(|entry| entry.push.app.clone()).collect();
        apps.into_iter().collect()
    }

    pub(super) fn set_failed(&self, id: &str) {
        if let Some(entry) = self.lock().get_mut(id) {
            entry.has_failed = true;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registered {
    /// Ends the push: its id is worth nothing from here on.
    pub(super) fn finish(self) -> Option<Finished> {
        self.pushes.lock().remove(&self.id).map(|entry| Finished {
            push: entry.push,
            has_failed: entry.has_failed,
        })
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.pushes.lock().remove(&self.id);
    }
}

/// A new id: 128 random bits in hexadecimal.
pub(super) fn new_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
