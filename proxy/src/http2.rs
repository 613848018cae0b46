//! HTTP/2 with clients: its limits, and the end of connections that nothing uses.

use crate::access_log::Logged;
use crate::client::Client;
use crate::connection::{Finish, Serving};
use crate::deadline::{Deadline, DeadlineTimer};
use crate::forward;
use crate::gathered::Gathered;
use crate::interim::Interims;
use crate::settings::ProxySettings;
use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::{Executor, Read, Write};
use hyper::server::conn::http2;
use hyper::service::{HttpService, service_fn};
use std::cell::Cell;
use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::{spawn_local, yield_now};

/// Requests at once on one connection: above the 100 that RFC 9113 section 6.5.2 wants at least, and few
/// enough that one client cannot hold much.
const MAX_STREAMS: u32 = 200;
/// Bytes of answers kept for one stream until the client takes them. With [`MAX_STREAMS`] it bounds what a
/// client that reads nothing can make us hold.
const MAX_SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Bytes of one body a client may send before its upstream takes them, and of all bodies of a connection.
const STREAM_WINDOW_BYTES: u32 = 512 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// A client that is silent for this long is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// What a body can fail with.
type BodyError = <Logged as Body>::Error;

/// How often a connection is looked at: nothing used it from one look to the next, and it is closed.
const IDLE_LOOK: Duration = Duration::from_secs(60);

/// Runs hyper's tasks, one for each request, on the thread of their connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalExecutor;

impl<F: Future<Output = ()> + 'static> Executor<F> for LocalExecutor {
    fn execute(&self, task: F) {
        spawn_local(task);
    }
}

/// How HTTP/2 is spoken with clients.
pub(crate) fn builder(settings: &ProxySettings) -> http2::Builder<LocalExecutor> {
    let mut builder = http2::Builder::new(LocalExecutor);
    // Streams reset before they were read are counted by h2 itself, which closes the connection after 20
    // ("rapid reset", CVE-2023-44487).
    builder
        .timer(DeadlineTimer)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(settings.max_header_bytes).unwrap_or(u32::MAX))
        .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .enable_connect_protocol();
    builder
}

/// Serves a connection until the client or the thread ends it, or nothing uses it any more.
pub(crate) async fn serve<IO>(client: Rc<Client>, io: IO) -> Result<(), hyper::Error>
where
    IO: Read + Write + Unpin + 'static,
{
    let served = Rc::new(Cell::new(0_u64));
    let service = service_fn({
        let client = Rc::clone(&client);
        let served = Rc::clone(&served);
        move |request| {
            served.set(served.get().wrapping_add(1));
            let in_use = Rc::clone(&client);
            let answer = forward::answer(&client, request, Interims::unheard());
            // Boxed: hyper moves it several times until it has become a task.
            Box::pin(async move {
                let (head, body) = answer.await?.into_parts();
                let body = Counted::begin(body, in_use).await;
                Ok::<_, Infallible>(Response::from_parts(head, body))
            })
        }
    });
    let (io, sending) = Gathered::pair(io);
    let connection = client.worker.http2.serve_connection(io, service);
    let mut serving = Serving::new(connection, &client.open);
    let mut known = (0, false);
    let next_look = Deadline::after(IDLE_LOOK);
    loop {
        let turn = poll_fn(|cx| {
            if let Poll::Ready(ended) = Pin::new(&mut serving).poll(cx) {
                return Poll::Ready(Some(ended));
            }
            match sending.poll_send(cx) {
                // The client has gone; what its requests hold, they let go of with the connection.
                Poll::Ready(Err(_)) => return Poll::Ready(Some(Ok(()))),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            next_look.poll_over(cx).map(|()| None)
        });
        if let Some(ended) = turn.await {
            return ended;
        }
        next_look.set_after(IDLE_LOOK);
        // This function and the service have one each; requests and tunnels have the others.
        let is_idle = Rc::strong_count(&client) <= 2 && served.get() == known.0;
        match (is_idle, known.1) {
            // It was told at the last look, and has not ended: it may never even have begun.
            (true, true) => return Ok(()),
            (true, false) => serving.finish(),
            (false, _) => {}
        }
        known = (served.get(), is_idle);
    }
}

impl<IO, S> Finish for http2::Connection<IO, S, LocalExecutor>
where
    IO: Read + Write + Unpin,
    S: HttpService<Incoming, ResBody = Counted> + Unpin,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: 'static,
{
    // By GOAWAY, first with the highest number of a stream and after a round trip with the last one that was taken
    // (RFC 9113 section 6.8): a request that crosses it is served.
    const CLOSES_IN_AGREEMENT: bool = true;

    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// A body that shows, as long as it lives, that its connection is in use.
pub(crate) struct Counted {
    first: Option<Result<Frame<Bytes>, BodyError>>,
    body: Logged,
    _in_use: Rc<Client>,
}

impl Counted {
    /// Takes the body's first frame if it is as good as there. An answer goes out as soon as it is known;
    /// with its body a moment later, it would take two records of TLS and two writes.
    async fn begin(mut body: Logged, in_use: Rc<Client>) -> Counted {
        let mut first = None;
        if !body.is_end_stream() {
            // The first look asks the upstream's connection for it, which has one turn to bring it.
            first = poll_fn(|cx| Poll::Ready(poll_now(&mut body, cx))).await;
            if first.is_none() {
                yield_now().await;
                first = poll_fn(|cx| Poll::Ready(poll_now(&mut body, cx))).await;
            }
        }
        Counted {
            first,
            body,
            _in_use: in_use,
        }
    }
}

fn poll_now(body: &mut Logged, cx: &mut Context<'_>) -> Option<Result<Frame<Bytes>, BodyError>> {
    match Pin::new(body).poll_frame(cx) {
        Poll::Ready(frame) => frame,
        Poll::Pending => None,
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.body.size_hint();
        let first = match &self.first {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len) as u64,
            _ => 0,
        };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(first));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(first));
        }
        hint
    }
}
