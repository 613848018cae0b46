//! How many requests of a service are under way, over all threads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Requests under way of one service.
#[derive(Debug, Default)]
pub(crate) struct Counted(AtomicU32);

/// The counts of all services that limit them. Its lock is taken when a thread meets a service, not for a request.
#[derive(Debug, Default)]
pub(crate) struct AllInFlight(Mutex<HashMap<String, Arc<Counted>>>);

impl AllInFlight {
    /// The count of a service, the same for all threads.
    pub(crate) fn of(&self, service: &str) -> Arc<Counted> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What nobody holds counts nothing.
        all.retain(|_, counted| Arc::strong_count(counted) > 1);
        Arc::clone(all.entry(service.to_owned()).or_default())
    }
}

/// Counts a request for as long as it lives.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Counted>);

impl InFlight {
    /// `None` if there are `most` already.
    pub(crate) fn begin(counted: &Arc<Counted>, most: u32) -> Option<InFlight> {
        let before = counted.0.fetch_add(1, Ordering::Relaxed);
        // Made in any case, so that a refused one is taken back.
        let begun = InFlight(Arc::clone(counted));
        (before < most).then_some(begun)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{AllInFlight, InFlight};

    #[test]
    fn as_many_as_allowed_are_under_way_and_what_ends_makes_room() {
        let all = AllInFlight::default();
        let counted = all.of("app");
        let first = InFlight::begin(&counted, 2).unwrap();
        let _second = InFlight::begin(&all.of("app"), 2).unwrap();
        assert!(InFlight::begin(&counted, 2).is_none());
        assert!(InFlight::begin(&counted, 2).is_none());
        drop(first);
        assert!(InFlight::begin(&counted, 2).is_some());
        assert!(InFlight::begin(&all.of("other"), 1).is_some());
        assert!(InFlight::begin(&counted, 0).is_none());
    }
}
