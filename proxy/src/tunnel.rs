//! Upgraded connections, such as WebSockets: bytes both ways until both sides have ended.

use crate::connection::Client;
use crate::pool::Lease;
use bytes::Bytes;
use hyper::rt::{Read, Write};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::io;
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Per direction; both are held for as long as the tunnel is open.
const BUFFER_BYTES: usize = 16 * 1024;

/// Starts a tunnel between two connections about to be upgraded. It counts as in flight on its upstream and
/// keeps its client's connection open until it ends.
pub(crate) fn start(from: OnUpgrade, upstream: OnUpgrade, lease: Lease, client: &Rc<Client>) {
    let client = Rc::clone(client);
    tokio::task::spawn_local(async move {
        // The connection now belongs to the tunnel: its sender has no more use, its upstream has.
        let Lease { sender, in_use } = lease;
        drop(sender);
        if let Err(error) = run(from, upstream).await {
            tracing::debug!(%error, upstream = %in_use.upstream().id, "an upgraded connection ended early");
        }
        drop((in_use, client));
    });
}

async fn run(client: OnUpgrade, upstream: OnUpgrade) -> io::Result<()> {
    let (client, upstream) = tokio::try_join!(client, upstream).map_err(io::Error::other)?;
    let (upstream, answered_early) = below::<TcpStream>(upstream)
        .map_err(|_| io::Error::other("an upgraded connection to an upstream is no TCP stream"))?;
    // What arrived behind the last request or answer already belongs to the new protocol.
    let client = match below::<TcpStream>(client) {
        Ok((client, sent_early)) => {
            return copy(client, sent_early, upstream, answered_early).await;
        }
        Err(client) => client,
    };
    match below::<TlsStream<TcpStream>>(client) {
        Ok((client, sent_early)) => copy(client, sent_early, upstream, answered_early).await,
        // A stream of HTTP/2.
        Err(client) => copy(TokioIo::new(client), Bytes::new(), upstream, answered_early).await,
    }
}

async fn copy<IO: AsyncRead + AsyncWrite + Unpin>(
    mut client: IO,
    sent_early: Bytes,
    mut upstream: TcpStream,
    answered_early: Bytes,
) -> io::Result<()> {
    upstream.write_all(&sent_early).await?;
    client.write_all(&answered_early).await?;
    client.flush().await?;
    copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER_BYTES, BUFFER_BYTES).await?;
    Ok(())
}

/// The socket below an upgraded connection, with the bytes already read from it.
fn below<IO>(upgraded: Upgraded) -> Result<(IO, Bytes), Upgraded>
where
    TokioIo<IO>: Read + Write + Unpin + 'static,
{
    let parts = upgraded.downcast::<TokioIo<IO>>()?;
    Ok((parts.io.into_inner(), parts.read_buf))
}
