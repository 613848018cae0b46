//! One client connection: served in the HTTP it speaks until it closes, is upgraded, or the thread stops.
//!
//! Which HTTP that is, is decided here, once for each connection: over TLS by ALPN, over plain TCP by the
//! first bytes, at which HTTP/1 stops when they are the preface of HTTP/2.

use crate::client::{Client, Ends, Seat};
use crate::deadline::within;
use crate::http1::{self, ClientStream, Ended};
use crate::http2;
use crate::rewound::Rewound;
use crate::socket::{Socket, Stream};
use crate::taken::Taken;
use crate::tls::{Secured, Unsecured};
use crate::worker::Worker;
use std::fmt::Display;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpStream;

/// Serves a plain connection to its end. An upgraded one lives on in its tunnel.
pub(crate) async fn serve(worker: Rc<Worker>, stream: impl Into<Stream>, ends: Ends, seat: Seat) {
    let client = Rc::new(Client::new(worker, ends, seat, None));
    let patience = client.worker.settings.write_timeout;
    let stream = ClientStream::Plain(Socket::new(stream));
    let stream = Taken::new(stream, patience, client.is_blocked.clone());
    match http1::serve(&client, stream, true).await {
        Ok(Ended::Http2(stream, come)) => {
            let stream = Rewound::new(stream, come);
            report(Box::pin(http2::serve(client, stream)).await, ends);
        }
        ended => report(ended.map(drop), ends),
    }
}

/// The same for one that speaks TLS.
///
/// A handshake under way counts as open: it may be about to bring a request.
pub(crate) async fn serve_tls(worker: Rc<Worker>, stream: TcpStream, ends: Ends, seat: Seat) {
    let tls = Arc::clone(&worker.tls);
    let limit = worker.settings.tls_handshake_timeout;
    let secured = within(limit, Box::pin(tls.accept(Socket::new(stream)))).await;
    let secured = secured.unwrap_or(Err(Unsecured::Failed(io::ErrorKind::TimedOut.into())));
    let Secured {
        stream,
        shown,
        is_http2,
    } = match secured {
        Ok(secured) => secured,
        Err(unsecured @ Unsecured::Challenge(_)) => {
            tracing::info!("{unsecured}");
            return;
        }
        Err(unsecured) => {
            worker.ledger.tls_handshake(false);
            tracing::debug!(error = %unsecured, cause = ?unsecured, peer = %ends.peer, "no TLS");
            return;
        }
    };
    worker.ledger.tls_handshake(true);
    let client = Rc::new(Client::new(worker, ends, seat, Some(shown)));
    let patience = client.worker.settings.write_timeout;
    let is_blocked = client.is_blocked.clone();
    // Boxed: a handshake that is never finished holds no room for what would come after it.
    if is_http2 {
        let stream = Taken::new(stream, patience, is_blocked);
        report(Box::pin(http2::serve(client, stream)).await, ends);
    } else {
        let stream = ClientStream::Secure(Box::new(stream));
        let stream = Taken::new(stream, patience, is_blocked);
        let ended = Box::pin(http1::serve(&client, stream, false)).await;
        report(ended.map(drop), ends);
    }
}

fn report(ended: Result<(), impl Display>, ends: Ends) {
    if let Err(error) = ended {
        tracing::debug!(%error, peer = %ends.peer, "a client connection ended early");
    }
}
