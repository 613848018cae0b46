//! HTTP/2 connections to one upstream, shared by all requests of a thread.
//!
//! One is enough until the upstream's limit of streams is reached; then there is another, so that long
//! streams do not hold up what comes after them. While one is being made, all who need it wait for it.

use crate::body::{BodyError, RequestBody};
use crate::deadline::DeadlineTimer;
use crate::fault::Fault;
use crate::pool::{LocalUpstream, Sender, SharedSender, open};
use crate::socket::Socket;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, Shared};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
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
/// number nobody chooses, for hyper tells only by a change of it that the upstream's settings have come.
const FIRST_STREAMS: usize = 103;
/// How soon, and later how often, it is looked whether the upstream's settings have come.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LONGEST_LOOK: Duration = Duration::from_millis(50);
/// Largest head of an answer.
const MAX_HEADER_BYTES: u32 = 64 * 1024;

/// Runs hyper's tasks, one for each request with a body, on the thread of their connection.
#[derive(Clone, Copy, Debug)]
struct LocalExecutor;

impl<F: Future<Output = ()> + 'static> Executor<F> for LocalExecutor {
    fn execute(&self, task: F) {
        spawn_local(task);
    }
}

/// The open connections, and the one that is being made.
#[derive(Debug, Default)]
pub(crate) struct SharedConnections {
    open: RefCell<Vec<Connection>>,
    making: RefCell<Option<Making>>,
}

type Making = Shared<LocalBoxFuture<'static, Result<(), Fault>>>;

#[derive(Debug)]
struct Connection {
    sender: SendRequest<RequestBody>,
    room: Rc<Room>,
}

/// How many streams a connection has, and may have.
#[derive(Debug)]
struct Room {
    used: Cell<usize>,
    limit: Cell<usize>,
    /// The tick of the idle clock at which it was first seen unused.
    idle_since: Cell<Option<u32>>,
    /// Whether the upstream takes WebSockets on it (RFC 8441 section 3); none until it has said.
    takes_sockets: Cell<Option<bool>>,
    /// Wakes the task that drives it, as long as that is so.
    driver: RefCell<Option<Waker>>,
}

/// One stream's place on a connection.
#[derive(Debug)]
pub(crate) struct Place(Rc<Room>);

impl Place {
    fn take(room: &Rc<Room>) -> Option<Place> {
        let used = room.used.get();
        (used < room.limit.get()).then(|| {
            room.used.set(used + 1);
            Place(Rc::clone(room))
        })
    }
}

impl Place {
    /// Whether WebSockets can be asked for on its connection. Not, if the upstream does not say so in time.
    ///
    /// hyper tells nobody when the upstream's settings come, so they are looked for, which is needed once for each
    /// connection, if at all.
    pub(crate) async fn takes_sockets(&self, limit: Duration) -> bool {
        let said = async {
            let mut pause = FIRST_LOOK;
            loop {
                if let Some(takes_sockets) = self.0.takes_sockets.get() {
                    return takes_sockets;
                }
                if let Some(driver) = &*self.0.driver.borrow() {
                    driver.wake_by_ref();
                }
                sleep(pause).await;
                pause = pause.saturating_mul(2).min(LONGEST_LOOK);
            }
        };
        timeout(limit, said).await.unwrap_or(false)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.used.set(self.0.used.get().saturating_sub(1));
    }
}

/// The body of an answer over HTTP/2, with its stream's place.
#[derive(Debug)]
pub(crate) struct SharedAnswer {
    body: Incoming,
    /// Gone when the body has ended.
    place: Option<SharedSender>,
}

impl SharedAnswer {
    pub(crate) fn new(body: Incoming, place: SharedSender) -> SharedAnswer {
        SharedAnswer {
            body,
            place: Some(place),
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Err(_))) = frame {
            self.place = None;
        }
        frame.map_err(BodyError::from)
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    /// Another may have it: the stream has ended.
    pub(crate) fn give_up_place(&mut self) {
        self.place = None;
    }

    /// The place of a stream that becomes a tunnel.
    pub(crate) fn into_place(self) -> Option<SharedSender> {
        self.place
    }
}

impl SharedConnections {
    /// A place on an open connection that has one and, as far as is known, still lives.
    pub(crate) fn take_place(&self) -> Option<Sender> {
        let mut open = self.open.borrow_mut();
        open.retain(|connection| !connection.sender.is_closed());
        open.iter().find_map(|connection| {
            let place = Place::take(&connection.room)?;
            Some(Sender::Http2(SharedSender {
                sender: connection.sender.clone(),
                place,
            }))
        })
    }

    /// Closes all, each once the last of its streams has ended.
    pub(crate) fn clear(&self) {
        self.open.borrow_mut().clear();
    }

    /// Closes those unused for `max_age` ticks or more; answers whether any are left.
    pub(crate) fn close_idle(&self, now: u32, max_age: u32) -> bool {
        let mut open = self.open.borrow_mut();
        open.retain(|Connection { sender, room }| {
            let since = match room.used.get() {
                0 => Some(room.idle_since.get().unwrap_or(now)),
                _ => None,
            };
            room.idle_since.set(since);
            let is_young = since.is_none_or(|since| now.wrapping_sub(since) < max_age);
            is_young && !sender.is_closed()
        });
        !open.is_empty()
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
    let stream = TokioIo::new(Socket::new(stream));
    // No pings: gRPC's servers take those of a quiet connection for an attack, and close it.
    let (sender, mut connection) = http2::Builder::new(LocalExecutor)
        .timer(DeadlineTimer)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
        .initial_max_send_streams(FIRST_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .handshake(stream)
        .await
        .map_err(|_| Fault::NotHttp)?;
    let room = Rc::new(Room {
        used: Cell::new(0),
        limit: Cell::new(connection.current_max_send_streams()),
        idle_since: Cell::new(None),
        takes_sockets: Cell::new(None),
        driver: RefCell::default(),
    });
    let known = Rc::clone(&room);
    spawn_local(async move {
        let driven = poll_fn(|cx| {
            let driven = Pin::new(&mut connection).poll(cx);
            // The upstream says its own limit in its first frame.
            let limit = connection.current_max_send_streams();
            known.limit.set(limit);
            if known.takes_sockets.get().is_none() {
                let takes_sockets = connection.is_extended_connect_protocol_enabled();
                if takes_sockets || limit != FIRST_STREAMS || driven.is_ready() {
                    known.takes_sockets.set(Some(takes_sockets));
                    known.driver.take();
                } else {
                    known.driver.replace(Some(cx.waker().clone()));
                }
            }
            driven
        });
        // What goes wrong, the requests on it are told.
        let _ = driven.await;
    });
    Ok(Connection { sender, room })
}
