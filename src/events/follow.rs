//! One reader of a subject: stored events first, then live ones, and the store again whenever it has fallen behind.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::broadcast::{self, error::RecvError};

use super::{Event, EventBody, Subject};
use crate::store::{EventReader, EventRow};

/// How many stored events are read at once.
const PAGE: u32 = 256;

/// Where the next event comes from.
enum Source {
    /// The store, until it has no more.
    Store,
    /// The channel.
    Channel,
    /// Nowhere: it is over.
    Ended,
}

/// The place of a reader in a subject's events.
pub(super) struct Follow {
    reader: Arc<EventReader>,
    subject: Subject,
    /// The number of the next event to give.
    next: u64,
    read: VecDeque<Event>,
    source: Source,
    /// Subscribed before the first look into the store, so that no event falls between the two; none when the subject
    /// is not live.
    channel: Option<broadcast::Receiver<Event>>,
}

impl Follow {
    /// Begins at number `from`.
    pub(super) fn new(
        reader: Arc<EventReader>,
        subject: Subject,
        from: u64,
        channel: Option<broadcast::Receiver<Event>>,
    ) -> Follow {
        Follow {
            reader,
            subject,
            next: from.max(1),
            read: VecDeque::new(),
            source: Source::Store,
            channel,
        }
    }

    /// The events as a stream.
    pub(super) fn into_stream(self) -> BoxStream<'static, Event> {
        stream::unfold(self, |mut follow| async move {
            let event = follow.next().await?;
            Some((event, follow))
        })
        .boxed()
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.read.pop_front() {
                self.next = event.seq + 1;
                if event.body.is_last() {
                    self.source = Source::Ended;
                }
                return Some(event);
            }
            match self.source {
                Source::Store => self.read_store().await,
                Source::Channel => self.receive().await,
                Source::Ended => return None,
            }
        }
    }

    /// Reads a page. After an empty one everything that follows goes through the channel: it is stored later than this
    /// look, and published later still.
    async fn read_store(&mut self) {
        let page = self
            .reader
            .page(&self.subject.key(), self.next, PAGE)
            .await
            .unwrap_or_else(|error| {
                tracing::warn!(%error, subject = ?self.subject, "stored events cannot be read");
                Vec::new()
            });
        let Some(first) = page.first() else {
            self.source = match self.channel {
                Some(_) => Source::Channel,
                None => Source::Ended,
            };
            return;
        };
        if first.seq > self.next {
            self.read
                .push_back(missing(&self.subject, self.next, first));
        }
        let subject = &self.subject;
        self.read
            .extend(page.into_iter().map(|row| from_row(subject, row)));
    }

    async fn receive(&mut self) {
        let Some(channel) = &mut self.channel else {
            self.source = Source::Ended;
            return;
        };
        match channel.recv().await {
            Ok(event) if event.seq >= self.next => self.read.push_back(event),
            // Seen in the store already.
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => self.source = Source::Store,
            Err(RecvError::Closed) => {
                self.channel = None;
                self.source = Source::Store;
            }
        }
    }
}

/// Stands for the events from `next` to the one before `first`, with the number of the last of them.
fn missing(subject: &Subject, next: u64, first: &EventRow) -> Event {
    Event {
        subject: subject.clone(),
        seq: first.seq - 1,
        at: first.at,
        body: EventBody::Warning {
            text: format!("{} earlier lines are no longer kept", first.seq - next),
        },
    }
}

fn from_row(subject: &Subject, row: EventRow) -> Event {
    let body = serde_json::from_str(&row.body).unwrap_or_else(|_| EventBody::Warning {
        text: "an event that this version of mini cannot read".to_owned(),
    });
    Event {
        subject: subject.clone(),
        seq: row.seq,
        at: row.at,
        body,
    }
}
