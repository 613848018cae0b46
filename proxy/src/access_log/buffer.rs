//! One thread's batch, and the spare parts of records.

use super::batch::{AccessBatch, FIELDS, Facts, Span};
use super::entry::Draft;
use super::{Outlet, Outlets};
use crate::ledger::Ledger;
use arc_swap::Cache;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::mpsc::error::TrySendError;

/// A batch with so many records, or so many bytes of text, is sent.
const FULL_RECORDS: usize = 256;
const FULL_TEXT_BYTES: usize = 64 * 1024;
/// How long a record may wait for its batch to be full.
const LONGEST_WAIT: Duration = Duration::from_millis(200);
/// Records in the making that are kept for later ones, some 600 bytes each.
const SPARE_DRAFTS: usize = 256;

/// Where the requests of one thread leave their records.
#[derive(Debug)]
pub(crate) struct LogBuffer {
    outlet: RefCell<Cache<Outlets, Option<Arc<Outlet>>>>,
    batch: RefCell<AccessBatch>,
    /// Dropped since the last batch was sent.
    dropped: Cell<u64>,
    #[expect(
        clippy::vec_box,
        reason = "a draft is handed out in its box, to be moved as one pointer"
    )]
    spare: RefCell<Vec<Box<Draft>>>,
    /// The batch is no longer empty.
    begun: Notify,
    ledger: Arc<Ledger>,
}

impl LogBuffer {
    pub(crate) fn new(outlets: &Outlets, ledger: Arc<Ledger>) -> LogBuffer {
        LogBuffer {
            outlet: RefCell::new(Cache::new(Arc::clone(outlets))),
            batch: RefCell::default(),
            dropped: Cell::new(0),
            spare: RefCell::default(),
            begun: Notify::new(),
            ledger,
        }
    }

    /// What is recorded, if anyone reads.
    pub(super) fn options(&self) -> Option<super::AccessLogOptions> {
        let mut outlet = self.outlet.borrow_mut();
        outlet.load().as_ref().map(|outlet| outlet.options)
    }

    pub(super) fn take_draft(&self) -> Box<Draft> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    pub(super) fn give_back(&self, draft: Box<Draft>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_DRAFTS {
            spare.push(draft);
        }
    }

    /// Adds a record; sends the batch if that fills it.
    pub(super) fn push(&self, facts: Facts, spans: [Span; FIELDS], texts: &[u8]) {
        let mut batch = self.batch.borrow_mut();
        if batch.is_empty() {
            self.begun.notify_one();
        }
        batch.push(facts, spans, texts);
        if batch.len() >= FULL_RECORDS || batch.text_bytes() >= FULL_TEXT_BYTES {
            self.send(&mut batch);
        }
    }

    /// Sends what there is.
    pub(crate) fn flush(&self) {
        self.send(&mut self.batch.borrow_mut());
    }

    /// Sends each batch that does not fill within its time. Sleeps for good while there is nothing.
    pub(crate) async fn flush_in_time(&self) {
        loop {
            self.begun.notified().await;
            tokio::time::sleep(LONGEST_WAIT).await;
            self.flush();
        }
    }

    fn send(&self, batch: &mut AccessBatch) {
        if batch.is_empty() {
            return;
        }
        let mut outlet = self.outlet.borrow_mut();
        let Some(outlet) = outlet.load() else {
            batch.clear();
            return;
        };
        // Reserved first, so that a batch which does not fit is not given away.
        match outlet.batches.try_reserve() {
            Ok(place) => {
                let next = AccessBatch::with_room(batch.len(), batch.text_bytes());
                let mut full = std::mem::replace(batch, next);
                full.dropped = self.dropped.take();
                place.send(full);
            }
            Err(TrySendError::Full(())) => {
                let lost = batch.len() as u64;
                self.ledger.dropped_log_records(lost);
                self.dropped.set(self.dropped.get() + lost);
                batch.clear();
            }
            Err(TrySendError::Closed(())) => batch.clear(),
        }
    }
}

impl Drop for LogBuffer {
    fn drop(&mut self) {
        self.flush();
    }
}
