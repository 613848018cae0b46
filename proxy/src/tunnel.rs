//! Upgraded connections, such as WebSockets: bytes both ways until both sides have ended.

use crate::access_log::Entry;
use crate::client::Client;
use crate::http1::Switched;
use crate::http2::{Opening, StreamSocket};
use crate::metered::Metered;
use crate::pool::{InUse, SharedSender};
use crate::upstream::Connection;
use bytes::Bytes;
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy_bidirectional_with_sizes};
use tokio::sync::oneshot;

/// Per direction; both are held for as long as the tunnel is open.
const BUFFER_BYTES: usize = 16 * 1024;

/// The client's end of a tunnel that is about to begin.
#[derive(Debug)]
pub(crate) enum ClientEnd {
    /// Its connection of HTTP/1.1.
    Connection(oneshot::Receiver<Switched>),
    /// One stream of its connection of HTTP/2.
    Stream(Box<Opening>),
}

/// The upstream's end of one.
#[derive(Debug)]
pub(crate) enum UpstreamEnd {
    /// Its connection of HTTP/1.1, with what came behind its answer: that belongs to the new protocol.
    Connection(Connection, Bytes),
    /// One stream of its connection of HTTP/2, and its place there.
    Stream(StreamSocket, Option<SharedSender>),
}

/// Starts a tunnel between two connections about to be upgraded. It counts as in flight on its upstream and
/// keeps its client's connection open until it ends; so long lasts the record of its request.
pub(crate) fn start(
    from: ClientEnd,
    upstream: UpstreamEnd,
    in_use: InUse,
    client: &Rc<Client>,
    mut entry: Entry,
) {
    let client = Rc::clone(client);
    tokio::task::spawn_local(async move {
        let carried = Carried::default();
        let ended = tokio::select! {
            ended = run(from, upstream, &carried) => ended,
            () = client.open.entrance().is_cut() => Ok(()),
        };
        if let Err(error) = ended {
            tracing::debug!(%error, upstream = %in_use.upstream().id, "an upgraded connection ended early");
        }
        entry.carried(carried.from_client.get(), carried.from_upstream.get());
        // Protocols of this kind end as their sides please: there is no whole that could be cut.
        entry.finish();
        drop((in_use, client));
    });
}

/// Bytes carried so far.
#[derive(Debug, Default)]
struct Carried {
    from_client: Cell<u64>,
    from_upstream: Cell<u64>,
}

/// The client's end, as it has become of its promise.
enum Opened {
    Connection(Switched),
    Stream(StreamSocket),
}

impl ClientEnd {
    async fn open(self) -> io::Result<Opened> {
        match self {
            // It ends without a word to whoever waits for it.
            ClientEnd::Connection(switched) => switched
                .await
                .map(Opened::Connection)
                .map_err(|_| io::ErrorKind::ConnectionAborted.into()),
            ClientEnd::Stream(opening) => Ok(Opened::Stream(opening.open().await?)),
        }
    }
}

async fn run(client: ClientEnd, upstream: UpstreamEnd, carried: &Carried) -> io::Result<()> {
    match upstream {
        UpstreamEnd::Connection(upstream, answered_early) => {
            let client = client.open().await?;
            run_to(client, (upstream, answered_early), carried).await
        }
        UpstreamEnd::Stream(upstream, place) => {
            let client = client.open().await?;
            let ended = run_to(client, (upstream, Bytes::new()), carried).await;
            // Its place is taken until then.
            drop(place);
            ended
        }
    }
}

async fn run_to<IO: AsyncRead + AsyncWrite + Unpin>(
    client: Opened,
    upstream: (IO, Bytes),
    carried: &Carried,
) -> io::Result<()> {
    match client {
        // What arrived behind the last request already belongs to the new protocol.
        Opened::Connection(Switched { stream, ahead }) => {
            copy((stream, ahead), upstream, carried).await
        }
        Opened::Stream(client) => copy((client, Bytes::new()), upstream, carried).await,
    }
}

/// Both ways, beginning with what each side sent early.
async fn copy<C, U>(
    (client, sent_early): (C, Bytes),
    (upstream, answered_early): (U, Bytes),
    carried: &Carried,
) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    carried.from_client.set(sent_early.len() as u64);
    carried.from_upstream.set(answered_early.len() as u64);
    let mut client = Metered::new(client, &carried.from_client);
    let mut upstream = Metered::new(upstream, &carried.from_upstream);
    upstream.write_all(&sent_early).await?;
    client.write_all(&answered_early).await?;
    client.flush().await?;
    copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER_BYTES, BUFFER_BYTES).await?;
    Ok(())
}
