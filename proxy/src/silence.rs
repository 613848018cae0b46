//! How long an answer that has begun may be silent.

use crate::deadline::Deadline;
use std::task::{Context, Poll};
use std::time::Duration;

/// Measures the time in which a body that is asked for more has nothing to give. Time in which nobody asks, because the
/// reader is slow, does not count.
#[derive(Debug)]
pub(crate) struct Silence {
    limit: Duration,
    deadline: Deadline,
    is_counting: bool,
}

impl Silence {
    pub(crate) fn new(limit: Duration) -> Silence {
        Silence {
            limit,
            deadline: Deadline::never(),
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
            self.deadline.set_after(self.limit);
        }
        self.deadline.poll_over(cx)
    }
}
