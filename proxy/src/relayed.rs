//! Connections that a proxy in front hands on with a header of the PROXY protocol: read before anything else, and
//! nothing behind it, so that TLS and HTTP begin where they would without.

use crate::client::{Ends, Seat};
use crate::connection;
use crate::drain::Open;
use crate::proxy_protocol::{self, Header, MAX_BYTES, Parsed};
use crate::worker::Worker;
use std::io;
use std::rc::Rc;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Why a connection is closed before anything is served on it.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Header(#[from] proxy_protocol::Error),
    #[error("the header did not come in time")]
    TooLate,
    #[error("it was closed without a word")]
    Nothing,
    #[error("the connection broke off within the header")]
    Broken(#[from] io::Error),
}

/// Serves a connection from a trusted proxy as the client's that its header names. One without a whole header is closed:
/// its requests would be taken for the proxy's own. It counts as open meanwhile: it may be about to bring a request, like
/// one in a handshake.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    mut stream: TcpStream,
    mut ends: Ends,
    open: Open,
    is_tls: bool,
) {
    let reading = timeout(worker.settings.header_read_timeout, read(&mut stream));
    let header = match reading.await.unwrap_or(Err(Refused::TooLate)) {
        Ok(header) => header,
        Err(refused) => {
            // Some balancers check so whether anybody listens.
            if !matches!(refused, Refused::Nothing) {
                worker.ledger.refused_proxy_header();
            }
            tracing::debug!(error = %refused, peer = %ends.peer, "closed a connection of a trusted proxy");
            return;
        }
    };
    let mut visit = None;
    if let Some(relayed) = header.ends {
        ends.peer = relayed.client;
        ends.local = relayed.server;
        ends.is_tls_in_front = header.is_tls;
        match worker.visit(relayed.client.ip()) {
            Ok(counted) => visit = counted,
            Err(_) => return,
        }
    }
    let seat = Seat { open, visit };
    if is_tls {
        connection::serve_tls(worker, stream, ends, seat).await;
    } else {
        connection::serve(worker, stream, ends, seat).await;
    }
}

/// Reads the header and not a byte more.
async fn read(stream: &mut TcpStream) -> Result<Header, Refused> {
    let mut bytes = vec![0; MAX_BYTES];
    let mut read = 0;
    loop {
        // What is only looked at stays there for whoever reads after this.
        let ahead = bytes.get_mut(read..).unwrap_or_default();
        let seen = match stream.peek(ahead).await? {
            0 if read == 0 => return Err(Refused::Nothing),
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            more => read + more,
        };
        let parsed = proxy_protocol::parse(bytes.get(..seen).unwrap_or_default())?;
        let end = match parsed {
            Parsed::Header(_, length) => length,
            // All of it belongs to the header. Left where it is, it would be seen again at once.
            Parsed::Incomplete => seen,
        };
        let known = bytes.get_mut(read..end).unwrap_or_default();
        stream.read_exact(known).await?;
        read = end;
        if let Parsed::Header(header, _) = parsed {
            return Ok(header);
        }
    }
}
