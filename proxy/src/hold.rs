//! Requests that wait for their service: while it is paused, or in the moments in which it has no upstream.
//!
//! They wait in the thread they came to, and look again whenever the table changes or an upstream can be
//! reached again. How many wait is bounded, and so is the time: an app that stays down is told of at once
//! again, a few seconds after the first who waited for it.

use crate::fault::Fault;
use crate::routes::LocalService;
use crate::settings::ProxySettings;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::futures::Notified;
use tokio::time::{Instant, timeout_at};

/// Those of one service that wait in one thread. Written by that thread alone.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    count: AtomicUsize,
    /// Since when the service has been without upstream, in milliseconds of the proxy's clock plus one; 0 if it has
    /// one as far as is known.
    without_since: AtomicU64,
}

impl Waiting {
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// It has an upstream: one has answered.
    pub(crate) fn over(&self) {
        if self.without_since.load(Ordering::Relaxed) != 0 {
            self.without_since.store(0, Ordering::Relaxed);
        }
    }

    /// How long the service has been without upstream.
    fn without_for(&self, now_ms: u64) -> Duration {
        let since = match self.without_since.load(Ordering::Relaxed) {
            0 => {
                self.without_since.store(now_ms + 1, Ordering::Relaxed);
                now_ms
            }
            since => since - 1,
        };
        Duration::from_millis(now_ms.saturating_sub(since))
    }
}

/// How long one request has waited.
#[derive(Debug, Default)]
pub(crate) struct Wait {
    /// Since when for a paused service.
    since: Option<Instant>,
    is_counted: bool,
}

impl Wait {
    /// Waits until it is worth looking again for an upstream of `service`, for which there was the given reason not
    /// to have one; answers a fault if that is not worth waiting for, or not any longer.
    ///
    /// `changed` must be older than the look that failed. Cancelled, the request has left.
    pub(crate) async fn wait(
        &mut self,
        service: &Rc<LocalService>,
        reason: Fault,
        changed: Notified<'_>,
        settings: &ProxySettings,
        now_ms: u64,
    ) -> Result<(), Fault> {
        let now = Instant::now();
        let waiting = &service.tally.waiting;
        let left = match reason {
            Fault::Paused => {
                let since = *self.since.get_or_insert(now);
                let left = settings.pause_wait.checked_sub(now.duration_since(since));
                left.map(|left| left.min(service.service.pause_left().unwrap_or_default()))
            }
            Fault::NoProcess | Fault::Refused => {
                let gone = waiting.without_for(now_ms);
                settings.restart_wait.checked_sub(gone)
            }
            _ => None,
        };
        let left = left.filter(|left| !left.is_zero()).ok_or(reason)?;
        if waiting.count() >= settings.max_waiting {
            return Err(Fault::Crowded);
        }
        if !self.is_counted {
            self.is_counted = true;
            service.tally.held();
        }
        let _place = Place::take(service);
        let waited = timeout_at(now + left, changed).await;
        // A pause that ended by itself is no reason any more.
        let is_over = reason == Fault::Paused && service.service.pause_left().is_none();
        if waited.is_ok() || is_over {
            Ok(())
        } else {
            Err(reason)
        }
    }
}

/// A request's place among those that wait.
struct Place(Rc<LocalService>);

impl Place {
    fn take(service: &Rc<LocalService>) -> Place {
        let count = &service.tally.waiting.count;
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        Place(Rc::clone(service))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let count = &self.0.tally.waiting.count;
        let left = count.load(Ordering::Relaxed).saturating_sub(1);
        count.store(left, Ordering::Relaxed);
    }
}
