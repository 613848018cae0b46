//! The thread that numbers events, stores them, then publishes them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::live::Live;
use super::{Event, EventBody, Subject};
use crate::model::Timestamp;
use crate::store::{Change, EventLog, EventRow, StoreError};

/// How many events of a subject are kept at most; then the oldest go.
pub(super) const KEPT_EVENTS: usize = 10_000;
/// How many bytes of JSON are kept of a subject at most.
pub(super) const KEPT_BYTES: u64 = 4 * 1024 * 1024;
/// How many orders share a transaction at most.
const BATCH: usize = 512;

/// What the journal asks of its thread.
pub(super) enum Order {
    /// Number, store and publish.
    Emit {
        /// For what.
        subject: Subject,
        /// When it was emitted, in whole microseconds.
        at: Timestamp,
        /// What happened.
        body: EventBody,
    },
    /// End the streams of a subject whose last event will not come.
    Close(Subject, oneshot::Sender<()>),
    /// Remove all events of a subject, and end its streams.
    Forget(Subject, oneshot::Sender<()>),
}

/// What follows once a batch is stored.
enum Then {
    Publish(Event),
    End(Subject, Option<oneshot::Sender<()>>),
}

/// What the store holds of a subject.
#[derive(Default)]
struct Tail {
    sizes: VecDeque<(u64, u64)>,
    bytes: u64,
    last_seq: u64,
    has_ended: bool,
}

impl Tail {
    fn load(log: &EventLog, key: &str) -> Result<Tail, StoreError> {
        let kept = log.kept(key)?;
        let newest = kept
            .newest
            .and_then(|body| serde_json::from_str::<EventBody>(&body).ok());
        Ok(Tail {
            bytes: kept.sizes.iter().map(|(_, size)| size).sum(),
            last_seq: kept.sizes.last().map_or(0, |(seq, _)| *seq),
            sizes: kept.sizes.into(),
            has_ended: newest.is_some_and(|body| body.is_last()),
        })
    }

    fn push(&mut self, size: u64) -> u64 {
        self.last_seq += 1;
        self.bytes += size;
        self.sizes.push_back((self.last_seq, size));
        self.last_seq
    }

    /// Lets the oldest go until the limits hold; the number of the first that stays, if any went.
    fn trim(&mut self) -> Option<u64> {
        let mut first = None;
        while self.sizes.len() > KEPT_EVENTS || (self.bytes > KEPT_BYTES && self.sizes.len() > 1) {
            let (seq, size) = self.sizes.pop_front()?;
            self.bytes -= size;
            first = Some(seq + 1);
        }
        first
    }
}

/// The thread's own.
pub(super) struct Writer {
    log: EventLog,
    live: Arc<Live>,
    tails: HashMap<Subject, Tail>,
    is_failing: bool,
}

impl Writer {
    /// A writer that has not begun.
    pub(super) fn new(log: EventLog, live: Arc<Live>) -> Writer {
        Writer {
            log,
            live,
            tails: HashMap::new(),
            is_failing: false,
        }
    }

    /// Serves the queue until it is closed and empty, then ends all streams and closes the file.
    pub(super) fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut batch = Vec::new();
        while orders.blocking_recv_many(&mut batch, BATCH) > 0 {
            self.serve(batch.drain(..));
        }
        self.live.end_all();
        self.log.close();
    }

    fn serve(&mut self, batch: impl Iterator<Item = Order>) {
        let mut changes = Vec::new();
        let mut then = Vec::new();
        for order in batch {
            match order {
                Order::Emit { subject, at, body } => {
                    self.add(subject, at, body, &mut changes, &mut then);
                }
                Order::Close(subject, done) => then.push(Then::End(subject, Some(done))),
                Order::Forget(subject, done) => {
                    changes.push(Change::Forget(subject.key()));
                    // Not removed, for the rows are still there until the batch is stored.
                    self.tails.insert(subject.clone(), Tail::default());
                    then.push(Then::End(subject, Some(done)));
                }
            }
        }
        self.store(&changes);
        for step in then {
            match step {
                Then::Publish(event) => self.live.publish(event),
                Then::End(subject, done) => {
                    self.live.end(&subject);
                    self.tails.remove(&subject);
                    if let Some(done) = done {
                        let _ = done.send(());
                    }
                }
            }
        }
    }

    fn add(
        &mut self,
        subject: Subject,
        at: Timestamp,
        body: EventBody,
        changes: &mut Vec<Change>,
        then: &mut Vec<Then>,
    ) {
        let key = subject.key();
        let log = &self.log;
        let tail = self.tails.entry(subject.clone()).or_insert_with(|| {
            Tail::load(log, &key).unwrap_or_else(|error| {
                tracing::error!(subject = %key, %error, "the stored events cannot be read");
                Tail::default()
            })
        });
        if tail.has_ended {
            tracing::warn!(subject = %key, ?body, "an event after the last one is dropped");
            then.push(Then::End(subject, None));
            return;
        }
        let json = match serde_json::to_string(&body) {
            Ok(json) => json,
            Err(error) => {
                tracing::error!(subject = %key, %error, "an event has no JSON form");
                return;
            }
        };
        let seq = tail.push(json.len() as u64);
        tail.has_ended = body.is_last();
        let row = EventRow {
            seq,
            at,
            body: json,
        };
        changes.push(Change::Add(key.clone(), row));
        if let Some(first) = tail.trim() {
            changes.push(Change::DropBefore(key, first));
        }
        let ends = body.is_last().then(|| subject.clone());
        then.push(Then::Publish(Event {
            subject,
            seq,
            at,
            body,
        }));
        then.extend(ends.map(|subject| Then::End(subject, None)));
    }

    /// Events that cannot be stored are published all the same: a full disk must not silence a build. The log tells when
    /// that begins and ends, not for each batch.
    fn store(&mut self, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        match self.log.apply(changes) {
            Ok(()) if self.is_failing => {
                self.is_failing = false;
                tracing::info!("events are stored again");
            }
            Ok(()) => {}
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                tracing::error!(%error, cause = ?error, "events are not stored; they are only published");
            }
            Err(_) => {}
        }
    }
}
