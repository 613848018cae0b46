//! A stream fed by a task of its own, which ends with the stream.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// Items from a task. Dropping the stream aborts the task, and with it whatever request it had open: that is how a build
/// is cancelled.
pub(super) struct TaskStream<T> {
    items: mpsc::Receiver<T>,
    _task: AbortOnDropHandle<()>,
}

impl<T: Send + 'static> TaskStream<T> {
    /// Runs `feed` with the sending end of a channel of `capacity`; a reader who is slow makes it wait.
    pub(super) fn spawn<F>(capacity: usize, feed: impl FnOnce(mpsc::Sender<T>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, items) = mpsc::channel(capacity);
        Self {
            items,
            _task: AbortOnDropHandle::new(tokio::spawn(feed(sender))),
        }
    }

    /// The same on a runtime of its own, so that whatever tasks `feed` leaves behind end with it.
    pub(super) fn spawn_apart<F>(
        capacity: usize,
        feed: impl FnOnce(mpsc::Sender<T>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()>,
    {
        let (sender, items) = mpsc::channel(capacity);
        let task = tokio::task::spawn_blocking(move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                // The reader sees a stream without items.
                Err(error) => return tracing::error!(%error, "no runtime could be made"),
            };
            let reader = sender.clone();
            runtime.block_on(async move {
                tokio::select! {
                    () = feed(sender) => {}
                    // What runs on a blocking thread is not aborted with its handle.
                    () = reader.closed() => {}
                }
            });
            runtime.shutdown_background();
        });
        Self {
            items,
            _task: AbortOnDropHandle::new(task),
        }
    }
}

impl<T> Stream for TaskStream<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.items.poll_recv(context)
    }
}
