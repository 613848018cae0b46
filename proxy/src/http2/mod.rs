//! HTTP/2 with clients: its limits, its connections, and the end of those that nothing uses.

mod piece;
mod sending;
mod socket;
mod stream;
mod stream_body;

pub(crate) use piece::Piece;
pub(crate) use sending::Sending;
pub(crate) use socket::{Opening, StreamSocket};
pub(crate) use stream_body::StreamBody;

use crate::client::Client;
use crate::deadline::Deadline;
use crate::drain::LAST_CALL;
use crate::gathered::Gathered;
use crate::settings::ProxySettings;
use h2::server::{Connection, Handshake};
use h2::{Ping, PingPong, Reason};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::spawn_local;

/// Requests at once on one connection: above the 100 that RFC 9113 section 6.5.2 wants at least, and few
/// enough that one client cannot hold much.
const MAX_STREAMS: u32 = 200;
/// Bytes of one body a client may send before its upstream takes them, and of all bodies of a connection.
const STREAM_WINDOW_BYTES: u32 = 512 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Streams that we have reset for what came on them, after which a connection is closed. With those that were reset before
/// they were read, of which h2 itself takes 20, it bounds "rapid reset" (CVE-2023-44487, CVE-2025-8671).
const MAX_RESETS: usize = 1024;
/// A client that was silent for this long is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How often a connection is looked at: nothing used it from one look to the next, and it is closed.
const IDLE_LOOK: Duration = Duration::from_secs(60);

/// How HTTP/2 is spoken with clients.
pub(crate) fn builder(settings: &ProxySettings) -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(settings.max_header_bytes).unwrap_or(u32::MAX))
        .max_send_buffer_size(sending::MAX_BUFFERED_BYTES)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_local_error_reset_streams(Some(MAX_RESETS))
        .enable_connect_protocol();
    builder
}

/// Serves a connection until the client or the thread ends it, or nothing uses it any more.
pub(crate) async fn serve<IO>(client: Rc<Client>, io: IO) -> Result<(), h2::Error>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let (io, sending) = Gathered::pair(io);
    let handshake = client.worker.http2.handshake(io);
    let Some(connection) = begun(&client, handshake, &sending).await else {
        return Ok(());
    };
    let mut serving = Serving::new(client, connection?, sending);
    poll_fn(|cx| serving.poll(cx)).await
}

/// The connection, once the client has said that it speaks HTTP/2; `None` when it does not say so in time.
async fn begun<IO>(
    client: &Client,
    handshake: Handshake<Gathered<IO>, Piece>,
    sending: &Gathered<IO>,
) -> Option<Result<Connection<Gathered<IO>, Piece>, h2::Error>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut handshake = pin!(handshake);
    let late = Deadline::after(IDLE_LOOK);
    let (mut is_known, mut is_last_call) = (false, false);
    poll_fn(|cx| {
        if !is_known {
            is_known = true;
            client.open.wake_on_stop(cx.waker());
        }
        let begun = handshake.as_mut().poll(cx);
        // What stands in its way, the handshake meets as well.
        let _ = sending.poll_send(cx);
        if let Poll::Ready(begun) = begun {
            return Poll::Ready(Some(begun));
        }
        if client.open.is_stopping() && !is_last_call {
            is_last_call = true;
            late.set_after(LAST_CALL);
        }
        late.poll_over(cx).map(|()| None)
    })
    .await
}

/// A connection and what it is watched for.
struct Serving<IO> {
    client: Rc<Client>,
    connection: Connection<Gathered<IO>, Piece>,
    sending: Gathered<IO>,
    is_known: bool,
    is_finishing: bool,
    /// It is being closed, whatever the client says to that.
    is_ending: bool,
    /// Until when its client may answer that its thread stops.
    last_call: Option<Deadline>,
    /// Requests taken so far.
    served: u64,
    pings: Option<PingPong>,
    /// The client has been asked whether it is there.
    is_asked: bool,
    next_ping: Deadline,
    /// How many requests there had been at the last look, and whether nothing used it then.
    looked: (u64, bool),
    next_look: Deadline,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Serving<IO> {
    fn new(
        client: Rc<Client>,
        mut connection: Connection<Gathered<IO>, Piece>,
        sending: Gathered<IO>,
    ) -> Serving<IO> {
        Serving {
            client,
            pings: connection.ping_pong(),
            connection,
            sending,
            is_known: false,
            is_finishing: false,
            is_ending: false,
            last_call: None,
            served: 0,
            is_asked: false,
            next_ping: Deadline::after(PING_INTERVAL),
            looked: (0, false),
            next_look: Deadline::after(IDLE_LOOK),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        if !self.is_known {
            self.is_known = true;
            self.client.open.wake_on_stop(cx.waker());
        }
        loop {
            if let Poll::Ready(ended) = self.poll_requests(cx) {
                return Poll::Ready(ended);
            }
            // Only now: a request that has arrived already is still answered.
            if self.client.open.is_leaving() && !self.is_finishing {
                self.finish();
                continue;
            }
            // The client has gone; what its requests hold, they let go of with the connection.
            if let Poll::Ready(Err(_)) = self.sending.poll_send(cx) {
                return Poll::Ready(Ok(()));
            }
            if self.client.open.is_stopping()
                && !self.is_ending
                && self.poll_last_call(cx).is_ready()
            {
                self.is_ending = true;
                // A client that does not answer the first word of GOAWAY would keep its thread from stopping.
                self.connection.abrupt_shutdown(Reason::NO_ERROR);
                continue;
            }
            let is_due = self.next_ping.poll_over(cx).is_ready();
            if is_due && self.is_silent(cx) {
                return Poll::Ready(Ok(()));
            }
            let is_idle = self.next_look.poll_over(cx).is_ready();
            if is_idle && self.is_unused() {
                return Poll::Ready(Ok(()));
            }
            if !is_due && !is_idle {
                return Poll::Pending;
            }
        }
    }

    /// Takes what comes, each request into a task of its own; what goes wrong in one of them ends that one.
    fn poll_requests(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, mut respond)))) => {
                    self.served = self.served.wrapping_add(1);
                    if stream::is_malformed(&request) {
                        respond.send_reset(Reason::PROTOCOL_ERROR);
                        continue;
                    }
                    spawn_local(stream::serve(&self.client, request, respond));
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Says so by GOAWAY, first with the highest number of a stream and after a round trip with the last one that was taken
    /// (RFC 9113 section 6.8): a request that crosses it is served.
    fn finish(&mut self) {
        self.is_finishing = true;
        self.connection.graceful_shutdown();
    }

    /// Resolves when its thread, which stops, has no more to wait for: it was told of the end, and whoever has nothing under way
    /// and nothing left to read had time to answer that, or to begin the request that it has just connected for.
    fn poll_last_call(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // What h2 still has of answers whose requests are over, it would throw away.
        if !self.is_idle() || self.sending.is_behind() {
            self.last_call = None;
            return Poll::Pending;
        }
        let begin = || Deadline::after(LAST_CALL);
        self.last_call.get_or_insert_with(begin).poll_over(cx)
    }

    /// Whether nothing is under way on it. Requests and tunnels have the client as well, and each ends with a word to the
    /// connection, at which this task wakes.
    fn is_idle(&self) -> bool {
        Rc::strong_count(&self.client) <= 1
    }

    /// Whether the client has said nothing although it was asked to. Asks it, if it was silent for long.
    fn is_silent(&mut self, cx: &mut Context<'_>) -> bool {
        let is_heard = self.sending.take_heard();
        if self.is_asked && !is_heard {
            tracing::debug!("a client answers no pings and is taken for gone");
            return true;
        }
        self.is_asked = !is_heard;
        self.next_ping.set_after(PING_INTERVAL);
        if self.is_asked
            && let Some(pings) = &mut self.pings
        {
            // The answer to the last one, if there was any: only then there can be another.
            let _ = pings.poll_pong(cx);
            let _ = pings.send_ping(Ping::opaque());
            self.next_ping.set_after(PING_TIMEOUT);
        }
        false
    }

    /// Whether it is to be closed at once: it was told at the last look, and has not ended. Tells it, if nothing used it since
    /// the last look.
    fn is_unused(&mut self) -> bool {
        let is_idle = self.is_idle() && self.served == self.looked.0;
        if is_idle && self.looked.1 {
            return true;
        }
        if is_idle {
            self.finish();
        }
        self.looked = (self.served, is_idle);
        self.next_look.set_after(IDLE_LOOK);
        false
    }
}

#[cfg(test)]
mod tests;
