//! Connections to one upstream, as one thread keeps them: made, lent to a request, kept idle, closed.

use crate::body::RequestBody;
use crate::connection::MAX_BUFFER_BYTES;
use crate::deadline::within;
use crate::fault::Fault;
#[cfg(fuzzing)]
use crate::fuzzing::dial;
use crate::handle::Shared;
use crate::health::Health;
use crate::health_probe;
use crate::ledger::Usage;
use crate::protocol::Way;
use crate::shared_connection::{self, Place, SharedConnections};
use crate::socket::Socket;
#[cfg(not(fuzzing))]
use crate::socket::Stream;
use crate::table::Upstream;
use futures_util::future::Either;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::TokioIo;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// A connection as one request uses it.
#[derive(Debug)]
pub(crate) enum Sender {
    /// Lent to it alone.
    Http1(http1::SendRequest<RequestBody>),
    /// Shared with others; the place on it is its own.
    Http2 {
        sender: http2::SendRequest<RequestBody>,
        place: Place,
    },
}

impl Sender {
    pub(crate) fn is_ready(&self) -> bool {
        match self {
            Sender::Http1(sender) => sender.is_ready(),
            Sender::Http2 { sender, .. } => sender.is_ready(),
        }
    }

    pub(crate) fn is_http2(&self) -> bool {
        matches!(self, Sender::Http2 { .. })
    }

    /// Whether WebSockets can be asked for over this connection of HTTP/2; waits for the upstream to say so.
    async fn takes_sockets(&self, timeout: Duration) -> bool {
        match self {
            Sender::Http1(_) => false,
            Sender::Http2 { place, .. } => place.takes_sockets(timeout).await,
        }
    }

    pub(crate) fn try_send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> + use<>
    {
        match self {
            Sender::Http1(sender) => Either::Left(sender.try_send_request(request)),
            Sender::Http2 { sender, .. } => Either::Right(sender.try_send_request(request)),
        }
    }
}

/// One upstream with this thread's connections to it.
#[derive(Debug)]
pub(crate) struct LocalUpstream {
    pub(crate) upstream: Upstream,
    pub(crate) health: Arc<Health>,
    usage: Arc<Usage>,
    /// Last in, first out: the surplus of a busy time grows old at the front and is closed.
    idle: RefCell<Vec<Idle>>,
    pub(crate) shared_connections: SharedConnections,
    max_idle: usize,
    retired: Cell<bool>,
    /// Wakes those who wait for a connection to it when it leaves the table.
    left: Notify,
    shared: Arc<Shared>,
    clock: Rc<IdleClock>,
}

#[derive(Debug)]
struct Idle {
    sender: http1::SendRequest<RequestBody>,
    since: u32,
}

/// A clock of coarse ticks, so that keeping a connection reads no time. See [`crate::worker`] for who ticks.
#[derive(Debug, Default)]
pub(crate) struct IdleClock {
    now: Cell<u32>,
    /// Something was kept: there may be something to close later.
    pub(crate) kept: Notify,
}

impl IdleClock {
    pub(crate) fn tick(&self) {
        self.now.set(self.now.get().wrapping_add(1));
    }
}

impl LocalUpstream {
    pub(crate) fn new(
        upstream: Upstream,
        usage: Arc<Usage>,
        shared: Arc<Shared>,
        clock: Rc<IdleClock>,
        max_idle: usize,
    ) -> LocalUpstream {
        LocalUpstream {
            health: shared.healths.of(&upstream),
            upstream,
            usage,
            idle: RefCell::default(),
            shared_connections: SharedConnections::default(),
            max_idle,
            retired: Cell::new(false),
            left: Notify::new(),
            shared,
            clock,
        }
    }

    /// Requests and upgraded connections this thread has on it.
    pub(crate) fn load(&self) -> usize {
        self.usage.now()
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.get()
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.shared.now_ms()
    }

    pub(crate) fn announce_revived(&self) {
        self.shared.announce_revived();
    }

    /// The upstream left the table: closes what is idle, and keeps nothing from now on.
    pub(crate) fn retire(&self) {
        self.retired.set(true);
        self.left.notify_waiters();
        self.idle.borrow_mut().clear();
        self.shared_connections.clear();
    }

    /// The connection that became idle last and, as far as is known, still lives.
    fn take_idle(&self) -> Option<http1::SendRequest<RequestBody>> {
        let mut idle = self.idle.borrow_mut();
        loop {
            let Idle { sender, .. } = idle.pop()?;
            if sender.is_ready() {
                return Some(sender);
            }
        }
    }

    fn keep(&self, sender: http1::SendRequest<RequestBody>) {
        let mut idle = self.idle.borrow_mut();
        if self.retired.get() || idle.len() >= self.max_idle {
            return;
        }
        if idle.is_empty() {
            self.clock.kept.notify_one();
        }
        let since = self.clock.now.get();
        idle.push(Idle { sender, since });
    }

    /// Closes connections kept for `max_age` ticks or more; answers whether any are left.
    pub(crate) fn close_idle(&self, max_age: u32) -> bool {
        let now = self.clock.now.get();
        let mut idle = self.idle.borrow_mut();
        idle.retain(|kept| now.wrapping_sub(kept.since) < max_age && !kept.sender.is_closed());
        self.shared_connections.close_idle(now, max_age) | !idle.is_empty()
    }

    /// Something is open that may have to be closed later.
    pub(crate) fn watch_idle(&self) {
        self.clock.kept.notify_one();
    }
}

/// Why no connection to an upstream could be made.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// Nobody answered within the connect timeout.
    TimedOut,
    /// The system refused: the upstream's doing, or ours if we ran out of something.
    Refused(io::Error),
}

impl ConnectError {
    pub(crate) fn fault(&self) -> Fault {
        let ConnectError::Refused(error) = self else {
            return Fault::ConnectTimedOut;
        };
        match error.kind() {
            io::ErrorKind::TimedOut => Fault::ConnectTimedOut,
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory => Fault::Exhausted,
            // EMFILE and ENFILE have no kind of their own: 24 and 23 on Linux (errno(3)).
            _ if matches!(error.raw_os_error(), Some(23 | 24)) => Fault::Exhausted,
            _ => Fault::Refused,
        }
    }
}

/// Opens a stream to an upstream.
pub(crate) async fn open(
    address: SocketAddr,
    timeout: Duration,
) -> Result<TokioIo<Socket>, ConnectError> {
    let stream = within(timeout, dial(address))
        .await
        .ok_or(ConnectError::TimedOut)?
        .map_err(ConnectError::Refused)?;
    Ok(TokioIo::new(Socket::new(stream)))
}

#[cfg(not(fuzzing))]
async fn dial(address: SocketAddr) -> io::Result<Stream> {
    let stream = Stream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Makes a connection to an upstream; a task of its own drives it until its sender is dropped.
async fn connect(
    address: SocketAddr,
    timeout: Duration,
) -> Result<http1::SendRequest<RequestBody>, ConnectError> {
    let stream = open(address, timeout).await?;
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_BUFFER_BYTES)
        .handshake(stream)
        .await
        .map_err(|error| ConnectError::Refused(io::Error::other(error)))?;
    tokio::task::spawn_local(async move {
        // What goes wrong while a request is on it, its sender is told; idle, it is simply gone.
        let _ = connection.with_upgrades().await;
    });
    Ok(sender)
}

/// Counts something as in flight on an upstream for as long as it lives.
#[derive(Debug)]
pub(crate) struct InUse(Rc<LocalUpstream>);

impl InUse {
    pub(crate) fn begin(local: &Rc<LocalUpstream>) -> InUse {
        local.usage.begin();
        InUse(Rc::clone(local))
    }

    pub(crate) fn upstream(&self) -> &Upstream {
        &self.0.upstream
    }

    /// Waits until the upstream leaves the table.
    pub(crate) async fn left(&self) {
        let left = self.0.left.notified();
        if !self.0.is_retired() {
            left.await;
        }
    }

    /// A new connection was answered.
    pub(crate) fn answered(&self) {
        self.0.health.answered();
    }

    /// No connection could be made. Answers whether the upstream is left out from now on.
    pub(crate) fn unreachable(&self) -> bool {
        let is_left_out = self.0.health.unreachable(self.0.now_ms());
        health_probe::start(&self.0);
        is_left_out
    }

    /// A new connection was closed before an answer. Answers whether the upstream is left out from now on.
    pub(crate) fn closed(&self) -> bool {
        self.0.health.closed(self.0.now_ms())
    }

    /// A connection that is there already, if one can take a request.
    pub(crate) fn take_open(&self, way: Way) -> Option<Sender> {
        match way {
            Way::Http1 => self.0.take_idle().map(Sender::Http1),
            Way::Http2 => self.0.shared_connections.take_place(),
            // What it is good for may have to be waited for.
            Way::Socket => None,
        }
    }

    /// A new connection; over HTTP/2, one that others have or wait for as well.
    pub(crate) async fn connect(&self, way: Way, timeout: Duration) -> Result<Sender, Fault> {
        match way {
            Way::Http1 => self.connect_http1(timeout).await,
            Way::Http2 => shared_connection::connect(&self.0, timeout).await,
            Way::Socket => {
                let sender = shared_connection::connect(&self.0, timeout).await?;
                if sender.takes_sockets(timeout).await {
                    return Ok(sender);
                }
                self.connect_http1(timeout).await
            }
        }
    }

    async fn connect_http1(&self, timeout: Duration) -> Result<Sender, Fault> {
        let made = connect(self.0.upstream.address, timeout).await;
        made.map(Sender::Http1).map_err(|error| error.fault())
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if self.0.usage.end() == 0 && self.0.retired.get() {
            self.0.shared.announce_drained();
        }
    }
}

/// A connection lent to one request. Dropped before [`Lease::finish`], the connection is closed: the rest of
/// an answer nobody reads must not be taken for the next one.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) sender: Sender,
    pub(crate) in_use: InUse,
}

impl Lease {
    /// The answer has been read to its end: keep the connection, as soon as the request has been sent.
    pub(crate) fn finish(self) {
        let Lease { sender, in_use } = self;
        let Sender::Http1(mut sender) = sender else {
            return;
        };
        if sender.is_ready() {
            in_use.0.keep(sender);
        } else if !sender.is_closed() {
            // The upstream answered before it had the whole request; it is in use until it has.
            tokio::task::spawn_local(async move {
                if sender.ready().await.is_ok() {
                    in_use.0.keep(sender);
                }
            });
        }
    }
}
