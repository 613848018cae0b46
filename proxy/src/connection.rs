//! One client connection: served in the HTTP it speaks until it closes, is upgraded, or the thread stops.
//!
//! Which HTTP that is, is decided here, once for each connection: over TLS by ALPN, over plain TCP by the
//! first bytes, at which hyper's HTTP/1 stops when they are the preface of HTTP/2: see [`crate::preface`].

use crate::access_log::Logged;
use crate::client::{Client, Ends, Seat};
use crate::deadline::{DeadlineTimer, within};
use crate::drain::Open;
use crate::forward;
use crate::http2;
use crate::interim::Interims;
use crate::line::Line;
use crate::preface::Whole;
use crate::received::Received;
use crate::rewound::Rewound;
use crate::settings::ProxySettings;
use crate::socket::{Socket, Stream};
use crate::taken::Taken;
use crate::tls::{Secured, Unsecured};
use crate::tunnel::joined;
use crate::worker::Worker;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::Either;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1::{self, UpgradeableConnection};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::error::Error;
use std::fmt::Display;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::TcpStream;

/// The answer to a head that has not come in time (RFC 9110 section 15.5.9).
const TOO_LATE: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Bytes that hyper reads, and those that it holds until they are written, at once. Together with
/// [`Blocked`](crate::taken::Blocked), and what is read of an answer at once, it is what a client holds that reads nothing.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// How HTTP/1 is spoken with clients.
pub(crate) fn builder(settings: &ProxySettings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Never `pipeline_flush`: it lifts the cap of the write buffer, and a slow reader's body piles up in it.
    builder
        .timer(DeadlineTimer)
        .header_read_timeout(settings.header_read_timeout)
        .max_header_size(settings.max_header_bytes)
        .max_buf_size(MAX_BUFFER_BYTES.max(settings.max_header_bytes))
        // Whether a client has left is found out below: see `line`.
        .half_close(true);
    builder
}

/// Serves a plain connection to its end. An upgraded one lives on in its tunnel.
pub(crate) async fn serve(worker: Rc<Worker>, stream: impl Into<Stream>, ends: Ends, seat: Seat) {
    let client = Rc::new(Client::new(worker, ends, seat, None));
    let patience = client.worker.settings.write_timeout;
    let interims = Interims::new();
    let stream = Taken::new(Socket::new(stream), patience, client.is_blocked.clone());
    let stream = Whole::new(Line::new(
        stream,
        interims.clone(),
        client.worker.settings.half_closed_timeout,
    ));
    match serve_http1(&client, stream, interims).await {
        // One that comes later is no preface, and its client is cut off.
        Ok(Some((whole, _))) if !whole.has_come() => {}
        Ok(Some((whole, read))) => {
            let (stream, ahead) = whole.into_parts();
            let stream = Rewound::new(stream, joined(read, ahead));
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
    let stream = Taken::new(stream, patience, client.is_blocked.clone());
    // Boxed: a handshake that is never finished holds no room for what would come after it.
    if is_http2 {
        report(Box::pin(http2::serve(client, stream)).await, ends);
    } else {
        let interims = Interims::new();
        let io = TokioIo::new(Line::new(
            stream,
            interims.clone(),
            client.worker.settings.half_closed_timeout,
        ));
        let ended = Box::pin(serve_http1(&client, io, interims)).await;
        // Whoever agreed on HTTP/1 by ALPN and then sends the preface of HTTP/2 is cut off.
        report(ended.map(drop), ends);
    }
}

/// Answers with the stream and what has been read of it, if the client turns out to speak HTTP/2. The interim answers are those that the stream
/// writes.
async fn serve_http1<IO>(
    client: &Rc<Client>,
    io: IO,
    interims: Interims,
) -> Result<Option<(IO, Bytes)>, hyper::Error>
where
    IO: Read + Write + Unpin + Send + 'static,
{
    let service = service_fn({
        let client = Rc::clone(client);
        move |request: Request<Incoming>| {
            let interims = interims.of(request.version());
            let answer = forward::answer(&client, request.map(Received::from), interims);
            if client.open.is_leaving() {
                Either::Left(Box::pin(last(answer)))
            } else {
                Either::Right(answer)
            }
        }
    });
    // Secured only after the thread began to stop: it has the one request it came for.
    let is_late = client.open.is_leaving();
    let connection = if is_late {
        let mut http = client.worker.http.clone();
        http.keep_alive(false).serve_connection(io, service)
    } else {
        client.worker.http.serve_connection(io, service)
    };
    let mut serving = Serving::new(connection.with_upgrades(), &client.open);
    serving.is_finishing = is_late;
    let ended = (&mut serving).await;
    let is_http2 = matches!(&ended, Err(error) if error.is_parse_version_h2());
    let is_late = matches!(&ended, Err(error) if error.is_timeout());
    if !is_http2 && !is_late {
        return ended.map(|()| None);
    }
    let Some(mut parts) = serving.connection.into_parts() else {
        return ended.map(|()| None);
    };
    if is_http2 {
        return Ok(Some((parts.io, parts.read_buf)));
    }
    // Who has not begun a request is closed without a word: what is said then may be taken for the answer to the next.
    if !parts.read_buf.is_empty() {
        let unrouted = &client.worker.ledger.unrouted;
        unrouted.answered(StatusCode::REQUEST_TIMEOUT);
        let told = poll_fn(|cx| Pin::new(&mut parts.io).poll_write(cx, TOO_LATE)).now_or_never();
        // Who cannot be told at once is not waited for.
        if told.is_some() {
            poll_fn(|cx| Pin::new(&mut parts.io).poll_shutdown(cx)).now_or_never();
        }
    }
    ended.map(|()| None)
}

/// The answer to the last request of a connection, which says so.
async fn last(
    answer: impl Future<Output = Result<Response<Logged>, Infallible>>,
) -> Result<Response<Logged>, Infallible> {
    let mut answer = answer.await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(CONNECTION, close);
    }
    Ok(answer)
}

/// A connection that can be asked to finish what it is at and close.
trait Finish: Future<Output = Result<(), hyper::Error>> + Unpin {
    fn finish(self: Pin<&mut Self>);
}

impl<IO, S> Finish for UpgradeableConnection<IO, S>
where
    S: HttpService<Incoming, ResBody = Logged>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    IO: Read + Write + Unpin + Send + 'static,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Drives a connection, and asks it to finish when its thread stops.
struct Serving<'a, C> {
    connection: C,
    open: &'a Open,
    is_known: bool,
    is_finishing: bool,
}

impl<'a, C: Finish> Serving<'a, C> {
    fn new(connection: C, open: &'a Open) -> Serving<'a, C> {
        Serving {
            connection,
            open,
            is_known: false,
            is_finishing: false,
        }
    }
}

impl<C: Finish> Future for Serving<'_, C> {
    type Output = Result<(), hyper::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.is_known {
            self.is_known = true;
            self.open.wake_on_stop(cx.waker());
        }
        if let Poll::Ready(ended) = Pin::new(&mut self.connection).poll(cx) {
            return Poll::Ready(ended);
        }
        // Only now: a request that has arrived already is still answered.
        if self.open.is_stopping() && !self.is_finishing {
            self.is_finishing = true;
            Pin::new(&mut self.connection).finish();
            return Pin::new(&mut self.connection).poll(cx);
        }
        Poll::Pending
    }
}

fn report(ended: Result<(), impl Display>, ends: Ends) {
    if let Err(error) = ended {
        tracing::debug!(%error, peer = %ends.peer, "a client connection ended early");
    }
}
