//! Upgraded connections, such as WebSockets: bytes both ways until both sides have ended.

use crate::access_log::Entry;
use crate::drain::Open;
use crate::metered::Metered;
use crate::pool::Lease;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::io;
use tokio::io::{AsyncWriteExt as _, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;

/// Per direction; both are held for as long as the tunnel is open.
const BUFFER_BYTES: usize = 16 * 1024;

/// Starts a tunnel between two connections about to be upgraded. It counts as in flight on its upstream and
/// as open at its thread until it ends; so long lasts the record of its request.
pub(crate) fn start(
    client: OnUpgrade,
    upstream: OnUpgrade,
    lease: Lease,
    open: Open,
    mut entry: Entry,
) {
    tokio::task::spawn_local(async move {
        // The connection now belongs to the tunnel: its sender has no more use, its upstream has.
        let Lease { sender, in_use } = lease;
        drop(sender);
        let (from_client, from_upstream) = (Cell::new(0), Cell::new(0));
        if let Err(error) = run(client, upstream, &from_client, &from_upstream).await {
            tracing::debug!(%error, upstream = %in_use.upstream().id, "an upgraded connection ended early");
        }
        entry.carried(from_client.get(), from_upstream.get());
        // Protocols of this kind end as their sides please; there is no whole that could be cut.
        entry.finish();
        drop((in_use, open));
    });
}

async fn run(
    client: OnUpgrade,
    upstream: OnUpgrade,
    from_client: &Cell<u64>,
    from_upstream: &Cell<u64>,
) -> io::Result<()> {
    let (client, upstream) = tokio::try_join!(client, upstream).map_err(io::Error::other)?;
    let (client, sent_early) = plain(client)?;
    let (upstream, answered_early) = plain(upstream)?;
    from_client.set(sent_early.len() as u64);
    from_upstream.set(answered_early.len() as u64);
    let mut client = Metered::new(client, from_client);
    let mut upstream = Metered::new(upstream, from_upstream);
    // What arrived behind the last request or answer already belongs to the new protocol.
    upstream.write_all(&sent_early).await?;
    client.write_all(&answered_early).await?;
    copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER_BYTES, BUFFER_BYTES).await?;
    Ok(())
}

/// The socket below an upgraded connection, with the bytes already read from it.
fn plain(upgraded: Upgraded) -> io::Result<(TcpStream, bytes::Bytes)> {
    let parts = upgraded
        .downcast::<TokioIo<TcpStream>>()
        .map_err(|_| io::Error::other("an upgraded connection is no TCP stream"))?;
    Ok((parts.io.into_inner(), parts.read_buf))
}
