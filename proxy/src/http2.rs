//! HTTP/2 with clients: its limits, and the end of connections that nothing uses.

use crate::access_log::Logged;
use crate::connection::{Client, Finish, Serving};
use crate::forward;
use crate::settings::ProxySettings;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::{Executor, Read, Write};
use hyper::server::conn::http2;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioTimer;
use std::cell::Cell;
use std::error::Error;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::spawn_local;
use tokio::time::sleep;

/// Requests at once on one connection: above the 100 that RFC 9113 section 6.5.2 wants at least, and few
/// enough that one client cannot hold much.
const MAX_STREAMS: u32 = 200;
/// Bytes of answers kept for one stream until the client takes them. With [`MAX_STREAMS`] it bounds what a
/// client that reads nothing can make us hold.
const MAX_SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Bytes of one body a client may send before its upstream takes them, and of all bodies of a connection.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// A client that is silent for this long is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
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
        .timer(TokioTimer::new())
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
            let answer = forward::answer(&client, request);
            async move {
                let answer = answer.await;
                answer.map(|answer| {
                    answer.map(|body| Counted {
                        body,
                        _in_use: in_use,
                    })
                })
            }
        }
    });
    let connection = client.worker.http2.serve_connection(io, service);
    let mut serving = Serving::new(connection, &client.open);
    let mut known = (0, false);
    loop {
        tokio::select! {
            biased;
            ended = &mut serving => return ended,
            () = sleep(IDLE_LOOK) => {}
        }
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
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// A body that shows, as long as it lives, that its connection is in use.
pub(crate) struct Counted {
    body: Logged,
    _in_use: Rc<Client>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = <Logged as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
