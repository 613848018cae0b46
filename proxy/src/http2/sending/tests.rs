use super::Sending;
use crate::deadline::tests::on_paused_time;
use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream, client, server};
use http::{Request, Response};
use http_body::{Body, Frame};
use std::cell::Cell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, copy, duplex, split};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};

const PATIENCE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
const PIPE_BYTES: usize = 64 * 1024;

/// A body without end.
struct Endless {
    is_dropped: Rc<Cell<bool>>,
}

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = Bytes::from_static(&[0; 10_000]);
        Poll::Ready(Some(Ok(Frame::data(data))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.is_dropped.set(true);
    }
}

/// Answers each request with a body without end; tells whether the first one is still asked for more.
fn serve(stream: DuplexStream) -> Rc<Cell<bool>> {
    let is_first_dropped = Rc::new(Cell::new(false));
    let mut first = Some(Rc::clone(&is_first_dropped));
    spawn_local(async move {
        let mut builder = server::Builder::new();
        builder.max_send_buffer_size(super::MAX_BUFFERED_BYTES);
        let mut connection = builder.handshake(stream).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let stream = respond.send_response(Response::new(()), false).unwrap();
            let is_dropped = first.take().unwrap_or_default();
            spawn_local(async move {
                let sending = Sending::new(stream, Some(PATIENCE));
                let _ = sending.pass_on(None, Endless { is_dropped }).await;
            });
        }
    });
    is_first_dropped
}

/// A client that grants each stream the 64 KiB of RFC 9113, and all of them together much more.
async fn connect(stream: DuplexStream) -> SendRequest<Bytes> {
    let mut builder = client::Builder::new();
    builder.initial_connection_window_size(1 << 24);
    let (sender, connection) = builder.handshake(stream).await.unwrap();
    spawn_local(async move {
        let _ = connection.await;
    });
    sender
}

async fn ask(sender: &mut SendRequest<Bytes>) -> RecvStream {
    let (answer, _) = sender.send_request(Request::default(), true).unwrap();
    answer.await.unwrap().into_body()
}

#[test]
fn a_stream_of_which_nothing_is_taken_is_reset_while_another_one_goes_on() {
    on_paused_time(|| async {
        let (near, far) = duplex(PIPE_BYTES);
        let is_dropped = serve(near);
        let mut sender = connect(far).await;
        let begun = Instant::now();
        let mut untaken = ask(&mut sender).await;
        let mut taken = ask(&mut sender).await;
        let mut bytes = 0;
        while !is_dropped.get() {
            assert!(begun.elapsed() < PATIENCE + SECOND);
            sleep(SECOND / 10).await;
            let data = taken.data().await.unwrap().unwrap();
            bytes += data.len();
            taken.flow_control().release_capacity(data.len()).unwrap();
        }
        assert!(begun.elapsed() >= PATIENCE);
        // More than its window several times over.
        assert!(bytes > 10 * 65_535, "{bytes}");
        let error = loop {
            match untaken.data().await.unwrap() {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.reason(), Some(Reason::CANCEL));
        assert!(taken.data().await.unwrap().is_ok());
    });
}

#[test]
fn a_client_that_makes_room_now_and_then_is_given_all_its_time() {
    on_paused_time(|| async {
        let (near, far) = duplex(PIPE_BYTES);
        let is_dropped = serve(near);
        let mut sender = connect(far).await;
        let mut answer = ask(&mut sender).await;
        for _ in 0..10 {
            sleep(PATIENCE - SECOND).await;
            let data = answer.data().await.unwrap().unwrap();
            answer.flow_control().release_capacity(data.len()).unwrap();
            // Half of the window is needed before the other side is told of it.
            let data = answer.data().await.unwrap().unwrap();
            answer.flow_control().release_capacity(data.len()).unwrap();
            let data = answer.data().await.unwrap().unwrap();
            answer.flow_control().release_capacity(data.len()).unwrap();
        }
        assert!(!is_dropped.get());
    });
}

#[test]
fn what_waits_for_a_slow_connection_is_not_held_against_its_stream() {
    on_paused_time(|| async {
        let (near, before) = duplex(1024);
        let (after, far) = duplex(1024);
        let is_dropped = serve(near);
        // 200 bytes a second: what h2 holds of one stream takes minutes.
        let (mut from_server, mut to_server) = split(before);
        let (mut from_client, mut to_client) = split(after);
        spawn_local(async move {
            let mut bytes = [0; 2000];
            while let Ok(read @ 1..) = from_server.read(&mut bytes).await {
                to_client.write_all(&bytes[..read]).await.unwrap();
                sleep(10 * SECOND).await;
            }
        });
        spawn_local(async move { copy(&mut from_client, &mut to_server).await });
        let mut sender = connect(far).await;
        let mut answer = ask(&mut sender).await;
        let begun = Instant::now();
        while begun.elapsed() < 10 * PATIENCE {
            let data = answer.data().await.unwrap().unwrap();
            answer.flow_control().release_capacity(data.len()).unwrap();
        }
        assert!(!is_dropped.get());
    });
}
