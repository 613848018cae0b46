//! The removal of images that nothing needs, beside builds. A build that changes nothing gives an image that is there already, and
//! until its release is recorded nothing says that it is needed again.

use tokio::sync::{RwLock, RwLockWriteGuard};

/// Whether images are being removed.
#[derive(Debug, Default)]
pub(super) struct Clearing(RwLock<()>);

impl Clearing {
    /// Until the answer is dropped no build begins. One that has begun is known by its place in the line of its app.
    pub(super) async fn hold_builds(&self) -> RwLockWriteGuard<'_, ()> {
        self.0.write().await
    }

    /// Waits until nothing is being removed. For a deploy that is in line: what is removed from then on is not of its app.
    pub(super) async fn over(&self) {
        drop(self.0.read().await);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[tokio::test]
    async fn a_build_waits_for_the_end_of_a_removal_and_removals_for_no_build() {
        let clearing = Clearing::default();
        let held = clearing.hold_builds().await;
        let mut waker = Context::from_waker(Waker::noop());
        let mut build = pin!(clearing.over());
        assert_eq!(build.as_mut().poll(&mut waker), Poll::Pending);
        drop(held);
        build.await;
        let _held = clearing.hold_builds().await;
    }
}
