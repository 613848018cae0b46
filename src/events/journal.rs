//! The journal as its users see it.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::BoxStream;
use tokio::sync::{mpsc, oneshot, watch};

use super::follow::Follow;
use super::live::Live;
use super::writer::{Order, Writer};
use super::{Event, EventBody, Subject};
use crate::model::Timestamp;
use crate::store::{EventLog, EventReader, StoreError};

/// How many events wait for the journal's thread before emitters have to.
const QUEUE: usize = 1024;
/// Longer lines are cut, in bytes.
const LINE_BYTES: usize = 16 * 1024;

/// The journal. Cheap to clone.
///
/// Of each subject the newest 10,000 events are kept, and of these at most 4 MiB.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    live: Arc<Live>,
    reader: Arc<EventReader>,
    orders: Mutex<Option<mpsc::Sender<Order>>>,
    /// Errs once the thread has ended.
    ended: watch::Receiver<()>,
}

impl Journal {
    /// Opens or creates `<data_dir>/events.db`; a damaged one is set aside and begun anew, for it is not state. Blocks.
    /// The folder is taken to be locked by an open `Store`.
    ///
    /// # Errors
    /// `Newer`, `ReadOnly`, `DiskFull`, `File`.
    pub fn open(data_dir: &Path) -> Result<Journal, StoreError> {
        let (log, reader) = EventLog::open(data_dir)?;
        let live = Arc::new(Live::default());
        let (orders, queue) = mpsc::channel(QUEUE);
        let (alive, ended) = watch::channel(());
        let writer = Writer::new(log, Arc::clone(&live));
        std::thread::Builder::new()
            .name("events-write".to_owned())
            .spawn(move || {
                writer.run(queue);
                drop(alive);
            })
            .map_err(no_thread)?;
        Ok(Journal {
            inner: Arc::new(Inner {
                live,
                reader: Arc::new(reader),
                orders: Mutex::new(Some(orders)),
                ended,
            }),
        })
    }

    /// Makes a subject live before its first event: who follows it from now on waits for that, where otherwise the stream
    /// would end at once. Call it before the task that emits is spawned. The subject stays live until its last event or
    /// [`Journal::close_subject`].
    pub fn begin(&self, subject: &Subject) {
        self.inner.live.begin(subject);
    }

    /// Numbers, stores and publishes an event. Waits only when the journal's bounded queue is full. Lines over 16 KiB
    /// are cut. An event after a subject's last one, or after [`Journal::close`], is dropped.
    pub async fn emit(&self, subject: &Subject, body: EventBody) {
        let now = Timestamp::now();
        let order = Order::Emit {
            subject: subject.clone(),
            // As it will be read back.
            at: Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now),
            body: shortened(body),
        };
        if let Some(orders) = self.orders() {
            // Before it is queued: who follows after this call finds the subject live.
            self.inner.live.begin(subject);
            // The thread takes orders until the queue is closed, which the clone in hand prevents.
            let _ = orders.send(order).await;
        }
    }

    /// Stored events from `from_seq` on, then live ones, without gap or repeat; ends after the subject's last event, or
    /// at once after the stored ones when the subject is not live: when this process has neither begun it nor emitted for
    /// it.
    ///
    /// Where old events are no longer kept, one warning stands for them, with the number of the last of them. A reader
    /// that does not keep up reads the store and delays nobody; dropping the stream has no effect on anything else.
    pub fn follow(&self, subject: &Subject, from_seq: u64) -> BoxStream<'static, Event> {
        let channel = self.inner.live.subscribe(subject);
        let reader = Arc::clone(&self.inner.reader);
        Follow::new(reader, subject.clone(), from_seq, channel).into_stream()
    }

    /// Forgets a subject: its events are gone when this returns, and streams of it end.
    pub async fn forget(&self, subject: &Subject) {
        self.order(|done| Order::Forget(subject.clone(), done))
            .await;
    }

    /// Ends the streams of a subject whose last event will not come. What is emitted for it later makes it live again,
    /// with the numbers going on.
    pub async fn close_subject(&self, subject: &Subject) {
        self.order(|done| Order::Close(subject.clone(), done)).await;
    }

    /// Stores what is queued, ends all streams and closes the file.
    pub async fn close(&self) {
        drop(
            self.inner
                .orders
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let mut ended = self.inner.ended.clone();
        // Nothing is ever sent: this resolves when the thread drops its end.
        while ended.changed().await.is_ok() {}
        self.inner.reader.close().await;
    }

    fn orders(&self) -> Option<mpsc::Sender<Order>> {
        self.inner
            .orders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn order(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) {
        let (done, is_done) = oneshot::channel();
        let Some(orders) = self.orders() else { return };
        if orders.send(order(done)).await.is_ok() {
            drop(orders);
            let _ = is_done.await;
        }
    }
}

fn no_thread(source: io::Error) -> StoreError {
    StoreError::File {
        file: "a thread".to_owned(),
        source,
    }
}

fn shortened(mut body: EventBody) -> EventBody {
    match &mut body {
        EventBody::Header { text }
        | EventBody::Section { text }
        | EventBody::Line { text }
        | EventBody::Warning { text } => cut(text),
        EventBody::Failed { problem } => {
            cut(&mut problem.what);
            cut(&mut problem.why);
            cut(&mut problem.next);
        }
        EventBody::StepStarted { .. } | EventBody::StepFinished { .. } | EventBody::Done => {}
    }
    body
}

fn cut(text: &mut String) {
    if text.len() > LINE_BYTES {
        let is_boundary = |end: &usize| text.is_char_boundary(*end);
        let end = (0..=LINE_BYTES).rev().find(is_boundary).unwrap_or(0);
        let rest = text.len() - end;
        text.truncate(end);
        text.push_str(&format!(" ... ({rest} bytes cut)"));
    }
}
