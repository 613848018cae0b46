//! The stream that says "look again": Docker's events, and the coming and going of Docker itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;

use super::Inner;
use super::labels::{self, Kind};
use super::task_stream::TaskStream;
use crate::engine::{Change, EngineError};
use crate::model::Timestamp;

/// The wait before Docker is sought again, doubled up to the second figure while it stays away.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Changes for ever. One that nobody has fetched yet stands for all that follow it: they carry no facts.
pub(super) fn changes(inner: Arc<Inner>) -> BoxStream<'static, Change> {
    TaskStream::spawn(1, |changed| async move {
        let mut wait = BACK_OFF.0;
        while !changed.is_closed() {
            let begun = Instant::now();
            if let Err(error) = follow(&inner, &changed).await {
                tracing::debug!(%error, "Docker does not answer");
            }
            // A connection that lasted was a good one: the next is sought at once.
            if begun.elapsed() > BACK_OFF.1 {
                wait = BACK_OFF.0;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = changed.closed() => {}
            }
            wait = (wait * 2).min(BACK_OFF.1);
        }
    })
    .boxed()
}

/// Passes on events until the connection is lost. An error means that it was not made.
async fn follow(inner: &Inner, changed: &mpsc::Sender<Change>) -> Result<(), EngineError> {
    inner.connection.greet().await?;
    let docker = inner.connection.client().await?;
    // From a second ago: what happens between this moment and the subscription is told again and not lost.
    let since = Timestamp::now().as_second().saturating_sub(1);
    let mut filters: HashMap<String, Vec<String>> = labels::filter(&[
        (labels::INSTANCE, &inner.instance),
        (labels::KIND, Kind::Process.as_str()),
    ]);
    filters.insert("type".to_owned(), vec!["container".to_owned()]);
    // Only these: health checks alone would fill the stream with exec events.
    let events = ["start", "die", "destroy", "oom"];
    filters.insert(
        "event".to_owned(),
        events.iter().map(|event| event.to_string()).collect(),
    );
    let options = EventsOptionsBuilder::default()
        .since(&since.to_string())
        .filters(&filters)
        .build();
    let mut events = std::pin::pin!(docker.events(Some(options)));
    tell(changed);
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = changed.closed() => return Ok(()),
        };
        match event {
            Some(Ok(event)) => {
                note(inner, &event);
                tell(changed);
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "the connection to Docker was lost");
                tell(changed);
                return Ok(());
            }
            None => {
                tracing::warn!("Docker ended the connection");
                tell(changed);
                return Ok(());
            }
        }
    }
}

/// Keeps what the event says and the next list may not.
fn note(inner: &Inner, event: &EventMessage) {
    let Some(id) = event.actor.as_ref().and_then(|actor| actor.id.as_deref()) else {
        return;
    };
    match event.action.as_deref() {
        Some("start") => inner.seen.started(id),
        Some("die") => inner.seen.ended(id),
        _ => {}
    }
}

fn tell(changed: &mpsc::Sender<Change>) {
    // Full means that one is waiting to be fetched already.
    let _ = changed.try_send(Change);
}
