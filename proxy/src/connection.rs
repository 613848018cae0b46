//! One client connection: HTTP/1.1 served on it until it closes, is upgraded, or the thread stops.
//!
//! The protocol is decided here, once per connection: TLS, HTTP/2 and the PROXY protocol have their place
//! before [`serve`] hands the stream to hyper.

use crate::forward;
use crate::settings::ProxySettings;
use crate::worker::Worker;
use http::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use tokio::net::TcpStream;

/// The client's end of a connection, as the upstream is told of it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) worker: Rc<Worker>,
    /// The peer's address. No peer is trusted to forward for another yet: what it says itself is replaced.
    pub(crate) address: HeaderValue,
    pub(crate) scheme: HeaderValue,
    pub(crate) port: HeaderValue,
}

impl Client {
    fn new(worker: Rc<Worker>, peer: SocketAddr, local: SocketAddr) -> Client {
        // A listener for both IP versions shows IPv4 peers as ::ffff:192.0.2.1.
        let address = peer.ip().to_canonical().to_string();
        Client {
            worker,
            address: HeaderValue::try_from(address).unwrap_or(HeaderValue::from_static("unknown")),
            scheme: HeaderValue::from_static("http"),
            port: HeaderValue::from(local.port()),
        }
    }
}

/// How HTTP/1 is spoken with clients.
pub(crate) fn builder(settings: &ProxySettings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Never `pipeline_flush`: it lifts the cap of the write buffer, and a slow reader's body piles up in it.
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_read_timeout)
        .max_header_size(settings.max_header_bytes)
        .half_close(false);
    builder
}

/// Serves a connection to its end. An upgraded one lives on in its tunnel.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    stream: TcpStream,
    peer: SocketAddr,
    local: SocketAddr,
) {
    let open = worker.open.enter();
    let http = worker.http.clone();
    let client = Rc::new(Client::new(worker, peer, local));
    let service = service_fn(move |request| forward::answer(&client, request));
    let connection = http
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut known = false;
    let mut finishing = false;
    let ended = poll_fn(|cx| {
        if !known {
            known = true;
            open.wake_on_stop(cx.waker());
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(ended);
        }
        // Only now: a request that has arrived already is still answered.
        if open.is_stopping() && !finishing {
            finishing = true;
            connection.as_mut().graceful_shutdown();
            return connection.as_mut().poll(cx);
        }
        Poll::Pending
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, %peer, "a client connection ended early");
    }
}
