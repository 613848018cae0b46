//! How long an answer that has begun may be silent.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// Measures the time in which a body that is asked for more has nothing to give. Time in which nobody asks, because the
/// reader is slow, does not count.
#[derive(Debug)]
pub(crate) struct Silence {
    limit: Duration,
    sleep: Pin<Box<Sleep>>,
    is_counting: bool,
}

impl Silence {
    pub(crate) fn new(limit: Duration) -> Silence {
        Silence {
            limit,
            sleep: Box::pin(sleep(limit)),
            is_counting: false,
        }
    }

    /// Something came.
    pub(crate) fn broken(&mut self) {
        self.is_counting = false;
    }

    /// Nothing has come yet; ready when that has lasted too long.
    pub(crate) fn poll_too_long(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_counting {
            self.is_counting = true;
            // A time too far to be told is never.
            if let Some(deadline) = Instant::now().checked_add(self.limit) {
                self.sleep.as_mut().reset(deadline);
            }
        }
        self.sleep.as_mut().poll(cx)
    }
}
