//! What was asked and how it was answered: one record for each request, handed over in batches.
//!
//! A data thread writes a record into a batch of its own when the answer has ended, and sends the batch through
//! a bounded channel when it is full or 200 ms old. It never waits: what does not fit is counted and dropped. How
//! records are shown and kept is the reader's business; this crate formats nothing.

mod batch;
mod body;
mod buffer;
mod entry;

pub use batch::{AccessBatch, AccessRecord, Cut};
pub(crate) use body::Logged;
pub(crate) use buffer::LogBuffer;
pub(crate) use entry::Entry;

use arc_swap::ArcSwapOption;
use std::sync::{Arc, Weak};
use tokio::sync::mpsc;

/// Batches that may wait for the reader: with 256 records each, some 0.4 s at 40,000 requests per second, and
/// some 6 MB.
const WAITING_BATCHES: usize = 64;

/// What is recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AccessLogOptions {
    /// Whether paths and referrers keep their query. Off by default: queries carry passwords, tokens and
    /// addresses of people, which a log keeps and shows to more eyes than the app does.
    pub with_queries: bool,
}

/// The way from the data threads to the reader.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) batches: mpsc::Sender<AccessBatch>,
    pub(crate) options: AccessLogOptions,
}

/// The outlet in force, if anyone reads.
pub(crate) type Outlets = Arc<ArcSwapOption<Outlet>>;

/// The records of all requests, from when this was asked for.
///
/// Dropped, it ends the recording. See [`ProxyHandle::access_log`](crate::ProxyHandle::access_log).
#[derive(Debug)]
pub struct AccessLog {
    batches: mpsc::Receiver<AccessBatch>,
    outlet: Weak<Outlet>,
    outlets: Outlets,
}

impl AccessLog {
    /// Begins to record, in place of a reader there may be.
    pub(crate) fn begin(outlets: &Outlets, options: AccessLogOptions) -> AccessLog {
        let (sender, batches) = mpsc::channel(WAITING_BATCHES);
        let outlet = Arc::new(Outlet {
            batches: sender,
            options,
        });
        let begun = Arc::downgrade(&outlet);
        outlets.store(Some(outlet));
        AccessLog {
            batches,
            // The senders end with the outlet, and the reader with them.
            outlet: begun,
            outlets: Arc::clone(outlets),
        }
    }

    /// The next batch; `None` once the proxy has shut down and all has been read, or somebody else reads.
    ///
    /// Cancelled, it has taken nothing.
    pub async fn next(&mut self) -> Option<AccessBatch> {
        self.batches.recv().await
    }

    /// The same for a thread of its own; panics on a thread that drives async tasks.
    pub fn blocking_next(&mut self) -> Option<AccessBatch> {
        self.batches.blocking_recv()
    }

    /// The next batch if it is there already.
    pub fn try_next(&mut self) -> Option<AccessBatch> {
        self.batches.try_recv().ok()
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        let now = self.outlets.load();
        let is_ours = now
            .as_ref()
            .is_some_and(|outlet| Arc::as_ptr(outlet) == self.outlet.as_ptr());
        if is_ours {
            self.outlets.store(None);
        }
    }
}
