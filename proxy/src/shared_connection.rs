//! HTTP/2 connections to one upstream, shared by all requests of a thread.
//!
//! One is enough until the upstream's limit of streams is reached; then there is another, so that long
//! streams do not hold up what comes after them. While one is being made, all who need it wait for it.

use crate::fault::Fault;
use crate::http2::Piece;
use crate::pool::{LocalUpstream, Sender, SharedSender, open};
use crate::socket::Socket;
use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, Shared};
use h2::client::{Builder, SendRequest};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

/// Bytes of one answer an upstream may send before its client takes them. All answers on a connection share
/// its window: it is so much larger that clients that read nothing cannot fill it for the others.
const STREAM_WINDOW_BYTES: u32 = 128 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 64 * 1024 * 1024;
/// Bytes of one request's body kept until the upstream takes them.
const MAX_SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Streams at once until the upstream has said its limit: about the 100 it should allow (RFC 9113 section 6.5.2), and a
/// number nobody chooses, for h2 tells only by a change of it that the upstream's settings have come.
const FIRST_STREAMS: usize = 103;
/// How soon, and later how often, it is looked whether the upstream's settings have come.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LONGEST_LOOK: Duration = Duration::from_millis(50);
/// Largest head of an answer.
const MAX_HEADER_BYTES: u32 = 64 * 1024;

/// The open connections, and the one that is being made.
#[derive(Debug, Default)]
pub(crate) struct SharedConnections {
    open: RefCell<Vec<Connection>>,
    making: RefCell<Option<Making>>,
}

type Making = Shared<LocalBoxFuture<'static, Result<(), Fault>>>;

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Piece>,
    room: Rc<Room>,
}

/// How many streams a connection has.
#[derive(Debug, Default)]
struct Room {
    used: Cell<usize>,
    /// The tick of the idle clock at which it was first seen unused.
    idle_since: Cell<Option<u32>>,
}

/// One stream's place on a connection.
#[derive(Debug)]
pub(crate) struct Place(Rc<Room>);

impl Connection {
    /// A place, if the upstream takes another stream.
    fn take_place(&self) -> Option<SharedSender> {
        let used = self.room.used.get();
        if used >= self.sender.current_max_send_streams() {
            return None;
        }
        self.room.used.set(used + 1);
        Some(SharedSender {
            sender: self.sender.clone(),
            _place: Place(Rc::clone(&self.room)),
        })
    }
}

/// Whether a connection takes requests, as far as is known: it has not ended, its upstream has not said that it will, and it has
/// numbers of streams left.
pub(crate) fn is_open(sender: &mut SendRequest<Piece>) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    matches!(sender.poll_ready(&mut cx), Poll::Ready(Ok(())))
}

/// Whether WebSockets can be asked for on a connection (RFC 8441 section 3). Not, if the upstream does not say so in time.
///
/// h2 tells nobody when the upstream's settings come, so they are looked for, which is needed once for each connection, if at
/// all.
pub(crate) async fn takes_sockets(sender: &mut SendRequest<Piece>, limit: Duration) -> bool {
    let said = async {
        let mut pause = FIRST_LOOK;
        loop {
            let has_said = sender.current_max_send_streams() != FIRST_STREAMS;
            if sender.is_extended_connect_protocol_enabled() {
                return true;
            }
            if has_said || !is_open(sender) {
                return false;
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_LOOK);
        }
    };
    timeout(limit, said).await.unwrap_or(false)
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.used.set(self.0.used.get().saturating_sub(1));
    }
}

impl SharedConnections {
    /// A place on an open connection that has one and, as far as is known, still lives.
    pub(crate) fn take_place(&self) -> Option<Sender> {
        let mut all = self.open.borrow_mut();
        all.retain_mut(|connection| is_open(&mut connection.sender));
        all.iter()
            .find_map(Connection::take_place)
            .map(Sender::Http2)
    }

    /// Closes all, each once the last of its streams has ended.
    pub(crate) fn clear(&self) {
        self.open.borrow_mut().clear();
    }

    /// Closes those unused for `max_age` ticks or more; answers whether any are left.
    pub(crate) fn close_idle(&self, now: u32, max_age: u32) -> bool {
        let mut all = self.open.borrow_mut();
        all.retain_mut(|Connection { sender, room }| {
            let since = match room.used.get() {
                0 => Some(room.idle_since.get().unwrap_or(now)),
                _ => None,
            };
            room.idle_since.set(since);
            let is_young = since.is_none_or(|since| now.wrapping_sub(since) < max_age);
            is_young && is_open(sender)
        });
        !all.is_empty()
    }
}

/// A place on a connection that is made for it, or for others as well.
pub(crate) async fn connect(
    upstream: &Rc<LocalUpstream>,
    timeout: Duration,
) -> Result<Sender, Fault> {
    let connections = &upstream.shared_connections;
    loop {
        if let Some(sender) = connections.take_place() {
            return Ok(sender);
        }
        let making = connections
            .making
            .borrow_mut()
            .get_or_insert_with(|| make(upstream, timeout))
            .clone();
        // Made, it may be full again before this request gets to it.
        making.await?;
    }
}

/// Makes a connection in a task of its own: whoever waits for it may go away.
fn make(upstream: &Rc<LocalUpstream>, timeout: Duration) -> Making {
    let (tell, told) = oneshot::channel();
    let upstream = Rc::clone(upstream);
    spawn_local(async move {
        let made = handshake(&upstream, timeout).await;
        let connections = &upstream.shared_connections;
        let made = made.map(|connection| {
            connections.open.borrow_mut().push(connection);
            upstream.watch_idle();
        });
        connections.making.borrow_mut().take();
        let _ = tell.send(made);
    });
    let told = told.map(|told| told.unwrap_or(Err(Fault::Refused)));
    told.boxed_local().shared()
}

async fn handshake(upstream: &LocalUpstream, timeout: Duration) -> Result<Connection, Fault> {
    let stream = open(upstream.upstream.address, timeout).await;
    let stream = stream.map_err(|error| error.fault())?;
    // No pings: gRPC's servers take those of a quiet connection for an attack, and close it.
    let (sender, connection) = Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buffer_size(MAX_SEND_BUFFER_BYTES)
        .initial_max_send_streams(FIRST_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .handshake(Socket::new(stream))
        .await
        .map_err(|_| Fault::NotHttp)?;
    // It ends with the last of its senders and streams. What goes wrong, the requests on it are told.
    spawn_local(async move {
        let _ = connection.await;
    });
    let room = Rc::default();
    Ok(Connection { sender, room })
}
