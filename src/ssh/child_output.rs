//! A child's output on its way to the client.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use super::outbox::{Gone, Outbox};
use super::spool::{Spool, SpoolLimits};
use crate::engine::Stream;

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// Copies to the client at the client's pace, until the source ends or the client is gone.
pub(super) async fn forward(
    source: Option<impl AsyncRead + Unpin>,
    stream: Stream,
    outbox: &Outbox,
) {
    let Some(mut source) = source else { return };
    let mut buffer = BytesMut::new();
    while let Some(bytes) = next(&mut source, &mut buffer).await {
        if outbox.send(stream, bytes).await == Err(Gone) {
            return;
        }
    }
}

/// Copies to the client at the source's pace: what the client does not take yet is spooled, and dropped once it is gone.
/// So the source never waits for the client, up to the spool's limit.
pub(super) async fn spool(
    source: Option<impl AsyncRead + Unpin>,
    stream: Stream,
    outbox: &Outbox,
    limits: SpoolLimits,
) {
    let (sender, mut receiver) = mpsc::channel(1);
    let sending = async move {
        while let Some(bytes) = receiver.recv().await {
            if outbox.send(stream, bytes).await == Err(Gone) {
                return;
            }
        }
    };
    tokio::join!(collect(source, limits, sender), sending);
}

async fn collect(
    source: Option<impl AsyncRead + Unpin>,
    limits: SpoolLimits,
    sender: mpsc::Sender<Bytes>,
) {
    let Some(mut source) = source else { return };
    let mut buffer = BytesMut::new();
    let mut spool = Spool::new(limits);
    let mut is_ended = false;
    while !is_ended || !spool.is_empty() {
        let result = tokio::select! {
            read = next(&mut source, &mut buffer), if !is_ended && spool.has_room() => match read {
                Some(bytes) => spool.push(bytes).await,
                None => {
                    is_ended = true;
                    Ok(())
                }
            },
            permit = sender.reserve(), if !spool.is_empty() => match (permit, spool.pop().await) {
                (Ok(permit), Ok(Some(bytes))) => {
                    permit.send(bytes);
                    Ok(())
                }
                (Ok(_), Ok(None)) => Ok(()),
                (Ok(_), Err(error)) => Err(error),
                // The client is gone.
                (Err(_), _) => break,
            },
        };
        if let Err(error) = result {
            tracing::error!(%error, "output of git could not be spooled");
            break;
        }
    }
    // To nowhere: a full pipe would stop the child.
    while next(&mut source, &mut buffer).await.is_some() {}
}

/// The next bytes of a child; `None` at its end.
async fn next(source: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> Option<Bytes> {
    buffer.reserve(READ_BYTES);
    match source.read_buf(buffer).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(buffer.split().freeze()),
    }
}
