//! In which order builds go on: so many at once over all apps, the others in the order in which they came.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::model::DeployId;

/// The places builds go on in.
pub(super) struct Slots {
    limit: usize,
    line: Mutex<Line>,
    changed: Notify,
}

#[derive(Default)]
struct Line {
    building: usize,
    waiting: VecDeque<DeployId>,
}

/// A place; dropping it lets the next one in.
pub(super) struct Slot<'a>(&'a Slots);

/// The wait for a place; dropped, whoever waits leaves the line.
pub(super) struct Waiting<'a> {
    slots: &'a Slots,
    deploy: DeployId,
    told: Option<usize>,
}

/// What comes next of a wait.
pub(super) enum Next<'a> {
    /// So many are ahead in the line.
    Ahead(usize),
    /// It is over.
    Taken(Slot<'a>),
}

impl Slots {
    /// `limit` places, at least one.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            line: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// How many builds go on at once.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// The deploys that wait to build, in their order.
    pub(super) fn waiting(&self) -> Vec<DeployId> {
        self.line().waiting.iter().cloned().collect()
    }

    /// Enters the line.
    pub(super) fn enter(&self, deploy: &DeployId) -> Waiting<'_> {
        self.line().waiting.push_back(deploy.clone());
        Waiting {
            slots: self,
            deploy: deploy.clone(),
            told: None,
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Waiting<'a> {
    /// A place, as soon as there is one and nobody is ahead; before that how many are ahead, at first and whenever it
    /// changes. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Next<'a> {
        let slots = self.slots;
        loop {
            let changed = slots.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.ahead() {
                None => return Next::Taken(Slot(slots)),
                ahead if self.told != ahead => {
                    self.told = ahead;
                    return Next::Ahead(ahead.unwrap_or_default());
                }
                Some(_) => changed.await,
            }
        }
    }

    /// How many are ahead; none once a place is taken.
    fn ahead(&self) -> Option<usize> {
        let mut line = self.slots.line();
        let mut waiting = line.waiting.iter();
        let ahead = waiting.position(|other| *other == self.deploy)?;
        if ahead == 0 && line.building < self.slots.limit {
            line.building += 1;
            line.waiting.pop_front();
            // The next one may have moved up.
            self.slots.changed.notify_waiters();
            return None;
        }
        Some(ahead)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut line = self.slots.line();
        line.waiting.retain(|other| *other != self.deploy);
        drop(line);
        self.slots.changed.notify_waiters();
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut line = self.0.line();
        line.building = line.building.saturating_sub(1);
        drop(line);
        self.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;

    use super::*;

    fn id(name: &str) -> DeployId {
        name.parse().unwrap()
    }

    #[tokio::test]
    async fn builds_come_in_their_order_and_are_told_their_place() {
        let slots = Slots::new(1);
        let Next::Taken(first) = slots.enter(&id("a")).next().await else {
            panic!("nobody is ahead")
        };
        let told = Arc::new(Mutex::new(Vec::new()));
        let wait = |name: &'static str| {
            let (told, slots) = (Arc::clone(&told), &slots);
            async move {
                let mut waiting = slots.enter(&id(name));
                loop {
                    let next = waiting.next().await;
                    let mut told = told.lock().unwrap();
                    match next {
                        Next::Ahead(ahead) => told.push((name, ahead)),
                        Next::Taken(_) => return told.push((name, 99)),
                    }
                }
            }
        };
        let (mut second, mut third, mut fourth) = (
            Box::pin(wait("b")),
            Box::pin(wait("c")),
            Box::pin(wait("d")),
        );
        for waiting in [&mut second, &mut third, &mut fourth] {
            assert!(waiting.now_or_never().is_none());
        }
        assert_eq!(slots.waiting(), [id("b"), id("c"), id("d")]);
        // One that leaves lets the others move up.
        drop(second);
        assert!((&mut third).now_or_never().is_none());
        assert!((&mut fourth).now_or_never().is_none());
        drop(first);
        assert!((&mut fourth).now_or_never().is_none());
        tokio::join!(third, fourth);
        let told = told.lock().unwrap().clone();
        assert_eq!(
            told,
            [
                ("b", 0),
                ("c", 1),
                ("d", 2),
                ("c", 0),
                ("d", 1),
                ("c", 99),
                ("d", 99)
            ]
        );
        assert!(slots.waiting().is_empty());
    }
}
