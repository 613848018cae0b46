//! Connections to one upstream, as one thread keeps them: made, lent to a request, kept idle, closed.

use crate::deadline::within;
use crate::fault::Fault;
#[cfg(fuzzing)]
use crate::fuzzing::dial;
use crate::handle::Shared;
use crate::health::Health;
use crate::health_probe;
use crate::http2::Piece;
use crate::ledger::Usage;
use crate::protocol::Way;
use crate::service::Upstream;
use crate::shared_connection::{self, Place, SharedConnections, is_open, takes_sockets};
use crate::socket::Stream;
use crate::upstream::{Connection, Held};
use h2::client::SendRequest;
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
    Http1(Connection),
    /// Shared with others; the place on it is its own.
    Http2(SharedSender),
}

/// A place on a connection of HTTP/2.
#[derive(Debug)]
pub(crate) struct SharedSender {
    pub(crate) sender: SendRequest<Piece>,
    /// Given back when it is dropped.
    pub(crate) _place: Place,
}

impl Sender {
    /// Whether a request can be sent over it, as far as is known.
    pub(crate) fn is_ready(&mut self) -> bool {
        match self {
            Sender::Http1(_) => true,
            Sender::Http2(shared) => is_open(&mut shared.sender),
        }
    }

    pub(crate) fn is_http2(&self) -> bool {
        matches!(self, Sender::Http2(_))
    }

    /// Whether WebSockets can be asked for over this connection of HTTP/2; waits for the upstream to say so.
    async fn takes_sockets(&mut self, timeout: Duration) -> bool {
        match self {
            Sender::Http1(_) => false,
            Sender::Http2(shared) => takes_sockets(&mut shared.sender, timeout).await,
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
    connection: Connection,
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

    /// The connection that became idle last and still lives, as far as is known; `is_certain` says that it has to be looked at
    /// for that. One on which something came that nobody asked for is closed.
    fn take_idle(&self, is_certain: bool) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        loop {
            let Idle { connection, .. } = idle.pop()?;
            if connection.is_quiet() && (!is_certain || connection.is_quiet_now()) {
                return Some(connection);
            }
        }
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.borrow_mut();
        if self.retired.get() || idle.len() >= self.max_idle {
            return;
        }
        if idle.is_empty() {
            self.clock.kept.notify_one();
        }
        let since = self.clock.now.get();
        idle.push(Idle { connection, since });
    }

    /// Closes connections kept for `max_age` ticks or more, and those that their upstream has closed; answers whether any are
    /// left.
    pub(crate) fn close_idle(&self, max_age: u32) -> bool {
        let now = self.clock.now.get();
        let mut idle = self.idle.borrow_mut();
        idle.retain(|kept| now.wrapping_sub(kept.since) < max_age && kept.connection.is_quiet());
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
pub(crate) async fn open(address: SocketAddr, timeout: Duration) -> Result<Stream, ConnectError> {
    within(timeout, dial(address))
        .await
        .ok_or(ConnectError::TimedOut)?
        .map_err(ConnectError::Refused)
}

#[cfg(not(fuzzing))]
async fn dial(address: SocketAddr) -> io::Result<Stream> {
    let stream = Stream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
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

    /// A connection that is there already, if one can take a request. `is_certain` says that nothing may go wrong with it that
    /// can be known now: the request cannot be sent again.
    pub(crate) fn take_open(&self, way: Way, is_certain: bool) -> Option<Sender> {
        match way {
            Way::Http1 => self.0.take_idle(is_certain).map(Sender::Http1),
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
                let mut sender = shared_connection::connect(&self.0, timeout).await?;
                if sender.takes_sockets(timeout).await {
                    return Ok(sender);
                }
                self.connect_http1(timeout).await
            }
        }
    }

    async fn connect_http1(&self, timeout: Duration) -> Result<Sender, Fault> {
        let made = open(self.0.upstream.address, timeout).await;
        let made = made.map_err(|error| error.fault())?;
        Ok(Sender::Http1(Connection::new(made)))
    }

    /// The answer has been read to its end: keeps the connection, as soon as the request has been sent.
    pub(crate) fn keep(&self, held: Held) {
        let Held {
            connection,
            uploading,
        } = held;
        let Some(uploading) = uploading else {
            self.0.keep(connection);
            return;
        };
        // The upstream answered before it had the whole request; it is in use until it has.
        let in_use = InUse::begin(&self.0);
        tokio::task::spawn_local(async move {
            if uploading.ended().await {
                in_use.0.keep(connection);
            }
        });
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if self.0.usage.end() == 0 && self.0.retired.get() {
            self.0.shared.announce_drained();
        }
    }
}
