//! Upgraded connections, such as WebSockets: bytes both ways until both sides have ended.

use crate::access_log::Entry;
use crate::connection::Client;
use crate::metered::Metered;
use crate::pool::{Lease, UpstreamStream};
use bytes::Bytes;
use hyper::rt::{Read, Write};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Per direction; both are held for as long as the tunnel is open.
const BUFFER_BYTES: usize = 16 * 1024;

/// Starts a tunnel between two connections about to be upgraded. It counts as in flight on its upstream and
/// keeps its client's connection open until it ends; so long lasts the record of its request.
pub(crate) fn start(
    from: OnUpgrade,
    upstream: OnUpgrade,
    lease: Lease,
    client: &Rc<Client>,
    mut entry: Entry,
) {
    let client = Rc::clone(client);
    tokio::task::spawn_local(async move {
        // The connection now belongs to the tunnel: its sender has no more use, its upstream has.
        let Lease { sender, in_use } = lease;
        drop(sender);
        let carried = Carried::default();
        if let Err(error) = run(from, upstream, &carried).await {
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

async fn run(client: OnUpgrade, upstream: OnUpgrade, carried: &Carried) -> io::Result<()> {
    let (client, upstream) = tokio::try_join!(client, upstream).map_err(io::Error::other)?;
    let (upstream, answered_early) = below::<UpstreamStream>(upstream).map_err(|_| {
        io::Error::other("an upgraded connection to an upstream is not what it was opened as")
    })?;
    // What arrived behind the last request or answer already belongs to the new protocol.
    let client = match below::<TcpStream>(client) {
        Ok((client, sent_early)) => {
            return copy((client, sent_early), (upstream, answered_early), carried).await;
        }
        Err(client) => client,
    };
    match below::<TlsStream<TcpStream>>(client) {
        Ok(client) => copy(client, (upstream, answered_early), carried).await,
        Err(client) => {
            // A stream of HTTP/2.
            let client = (TokioIo::new(client), Bytes::new());
            copy(client, (upstream, answered_early), carried).await
        }
    }
}

/// Both ways, beginning with what each side sent early.
async fn copy<IO: AsyncRead + AsyncWrite + Unpin>(
    (client, sent_early): (IO, Bytes),
    (upstream, answered_early): (UpstreamStream, Bytes),
    carried: &Carried,
) -> io::Result<()> {
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

/// The socket below an upgraded connection, with the bytes already read from it.
fn below<IO>(upgraded: Upgraded) -> Result<(IO, Bytes), Upgraded>
where
    TokioIo<IO>: Read + Write + Unpin + 'static,
{
    let parts = upgraded.downcast::<TokioIo<IO>>()?;
    Ok((parts.io.into_inner(), parts.read_buf))
}
