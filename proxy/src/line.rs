//! A client's stream of HTTP/1 below the connection, which does for the client what is not said in requests and answers.
//!
//! Interim answers: while a request is being answered the connection writes nothing, so that they can be put on the wire here,
//! once all is written that was to be said before, and as long as nothing of the answer is.
//!
//! A client that ends its own side and waits for the answer: the connection answers it, and does not look whether clients are
//! still there. That is done here, and such a client, which looks like one that has left, must get something of its answer
//! again and again.

use crate::deadline::Deadline;
use crate::interim::{Interims, head};
use bytes::{Buf as _, Bytes};
use std::io::{self, IoSlice};
use std::mem::{MaybeUninit, take};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is read at once of what nobody has asked for: the head of a next request is rarely longer.
const AHEAD_BYTES: usize = 1024;
/// What is read of it altogether. Of a client that has sent more behind a request which is not answered yet it is not known
/// whether it is still there.
const MOST_AHEAD_BYTES: usize = 16 * AHEAD_BYTES;

/// A stream, and the interim answers to the request that came over it.
#[derive(Debug)]
pub(crate) struct Line<S> {
    stream: S,
    interims: Interims,
    /// What is still to be written of one that was begun.
    rest: Bytes,
    /// There was nothing left to write the last time: what is written next begins with the head of a message.
    is_between: bool,
    /// Somebody waits for bytes of the client.
    is_asked: bool,
    /// What came while nobody did.
    ahead: Vec<u8>,
    /// Nothing more will come.
    has_ended: bool,
    /// How long a client that has ended its side may get nothing.
    patience: Duration,
    silence: Option<Deadline>,
}

impl<S> Line<S> {
    /// `patience` is how long a client that has ended its side may get nothing of its answer.
    pub(crate) fn new(stream: S, interims: Interims, patience: Duration) -> Line<S> {
        Line {
            stream,
            interims,
            rest: Bytes::new(),
            is_between: true,
            is_asked: false,
            ahead: Vec::new(),
            has_ended: false,
            patience,
            silence: None,
        }
    }

    pub(crate) fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream, and what was read of it and not yet given to anybody.
    pub(crate) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.ahead)
    }
}

impl<S: AsyncWrite + Unpin> Line<S> {
    /// Ready when no interim answer is half written.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.rest.advance(written);
            self.silence = None;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes all there are; to be called between two messages only.
    fn poll_interims(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_rest(cx))?;
            match self.interims.take() {
                Some(interim) => self.rest = head(&interim),
                None => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Sends what was written before, at the end of an answer. The next request is read afterwards: that tells who has left.
    pub(crate) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_between = true;
        ready!(self.poll_rest(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// What has to be done before anything is written.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_between {
            ready!(self.poll_interims(cx))?;
            self.is_between = false;
        } else if self.interims.has_any() && !self.interims.is_awaited() {
            // The answer they should have gone before may have begun.
            self.interims.clear();
        }
        // What cannot be written is told by the writing.
        self.silence = None;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> Line<S> {
    /// Looks whether the client is still there, if nobody reads. Ready when it is not, or may as well not be.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        while !self.is_asked && self.ahead.len() < MOST_AHEAD_BYTES && !self.has_ended {
            let mut bytes = [MaybeUninit::uninit(); AHEAD_BYTES];
            let mut read = ReadBuf::uninit(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if read.filled().is_empty() => self.has_ended = true,
                Poll::Ready(Ok(())) => self.ahead.extend_from_slice(read.filled()),
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Pending => break,
            }
        }
        if !self.has_ended {
            return Poll::Pending;
        }
        let patience = self.patience;
        let silence = self
            .silence
            .get_or_insert_with(|| Deadline::after(patience));
        ready!(silence.poll_over(cx));
        Poll::Ready(io::ErrorKind::ConnectionAborted.into())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let length = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(self.ahead.get(..length).unwrap_or_default());
            if length < self.ahead.len() {
                self.ahead.drain(..length);
            } else {
                // A connection that waits holds no buffer.
                take(&mut self.ahead);
            }
            self.is_asked = false;
            return Poll::Ready(Ok(()));
        }
        if self.has_ended {
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.is_asked = read.is_pending();
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_turn(cx))?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_turn(cx))?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    /// To be called at the end of each turn of waiting, when all is written that there was.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_between = true;
        if self.interims.is_awaited() {
            ready!(self.poll_interims(cx))?;
        } else {
            ready!(self.poll_rest(cx))?;
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        match self.poll_left(cx) {
            Poll::Ready(error) => Poll::Ready(Err(error)),
            Poll::Pending => flushed,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::Line;
    use crate::deadline::tests::on_paused_time;
    use crate::interim::Interims;
    use crate::interim::tests::say;
    use bytes::Bytes;
    use futures_util::stream::unfold;
    use http::{Response, StatusCode};
    use http_body::Frame;
    use http_body_util::{Empty, StreamBody};
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use std::convert::Infallible;
    use std::future::pending;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::{Instant, sleep};

    const PATIENCE: Duration = Duration::from_secs(10);
    const EARLY: &str = "HTTP/1.1 103 Early Hints\r\n\r\n";

    /// A line with little room in it, so that writing waits for the reader.
    fn line() -> (Line<DuplexStream>, Interims, DuplexStream) {
        let (near, far) = duplex(10);
        let interims = Interims::new();
        let line = Line::new(near, interims.clone(), PATIENCE);
        (line, interims, far)
    }

    /// All that comes, in a task of its own.
    async fn all(mut far: DuplexStream) -> String {
        let mut text = String::new();
        far.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn what_is_said_early_goes_out_with_the_next_flush() {
        let (mut line, interims, mut far) = line();
        let awaited = interims.wait();
        say(&interims, StatusCode::EARLY_HINTS);
        let reading = tokio::spawn(async move {
            let mut early = vec![0; EARLY.len()];
            far.read_exact(&mut early).await.unwrap();
            assert_eq!(early, EARLY.as_bytes());
            far
        });
        line.flush().await.unwrap();
        let reading = tokio::spawn(all(reading.await.unwrap()));
        say(&interims, StatusCode::EARLY_HINTS);
        // Said together with the answer: before its head, then.
        drop(awaited);
        line.write_all(b"answer").await.unwrap();
        line.flush().await.unwrap();
        drop(line);
        assert_eq!(reading.await.unwrap(), format!("{EARLY}answer"));
    }

    #[tokio::test]
    async fn it_waits_for_the_rest_of_the_answer_before() {
        let (mut line, interims, far) = line();
        let awaited = interims.wait();
        line.write_all(b"the first").await.unwrap();
        say(&interims, StatusCode::EARLY_HINTS);
        let reading = tokio::spawn(all(far));
        line.write_all(b" answer").await.unwrap();
        line.flush().await.unwrap();
        drop(awaited);
        line.write_all(b"the second").await.unwrap();
        drop(line);
        let expected = format!("the first answer{EARLY}the second");
        assert_eq!(reading.await.unwrap(), expected);
    }

    #[tokio::test]
    async fn it_is_left_out_when_its_answer_may_have_begun() {
        let (mut line, interims, far) = line();
        let awaited = interims.wait();
        line.write_all(b"the first").await.unwrap();
        say(&interims, StatusCode::EARLY_HINTS);
        drop(awaited);
        let reading = tokio::spawn(all(far));
        line.write_all(b" and the second").await.unwrap();
        line.flush().await.unwrap();
        drop(line);
        assert_eq!(reading.await.unwrap(), "the first and the second");
    }

    /// A client that asks and ends its side.
    async fn half_closed() -> (TokioIo<Line<DuplexStream>>, DuplexStream) {
        let (near, mut far) = duplex(1000);
        far.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        far.shutdown().await.unwrap();
        let line = Line::new(near, Interims::new(), PATIENCE);
        (TokioIo::new(line), far)
    }

    #[test]
    fn a_client_that_has_ended_its_side_and_gets_nothing_is_given_up() {
        on_paused_time(|| async {
            let (io, far) = half_closed().await;
            let service = service_fn(|_| pending::<Result<Response<Empty<Bytes>>, Infallible>>());
            let begun = Instant::now();
            let served = http1::Builder::new()
                .half_close(true)
                .serve_connection(io, service)
                .await;
            served.unwrap_err();
            assert!(begun.elapsed() >= PATIENCE);
            assert_eq!(all(far).await, "");
        });
    }

    #[test]
    fn one_that_has_sent_its_next_request_and_left_is_given_up_as_well() {
        on_paused_time(|| async {
            let (near, mut far) = duplex(1000);
            let io = TokioIo::new(Line::new(near, Interims::new(), PATIENCE));
            let service = service_fn(|_| pending::<Result<Response<Empty<Bytes>>, Infallible>>());
            let served = http1::Builder::new()
                .half_close(true)
                .serve_connection(io, service);
            let client = async {
                for number in 0..20 {
                    let request = format!("GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n");
                    far.write_all(request.as_bytes()).await.unwrap();
                    // The one before has been read by then.
                    sleep(Duration::from_millis(1)).await;
                }
                drop(far);
            };
            let (served, ()) = tokio::join!(served, client);
            served.unwrap_err();
        });
    }

    #[test]
    fn one_that_gets_its_answer_little_by_little_gets_all_of_it() {
        on_paused_time(|| async {
            let (io, far) = half_closed().await;
            let service = service_fn(async |_| {
                let parts = Box::pin(unfold(0_u8, async |count| {
                    sleep(PATIENCE - Duration::from_secs(1)).await;
                    let part = Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"part")));
                    (count < 5).then_some((part, count + 1))
                }));
                Ok::<_, Infallible>(Response::new(StreamBody::new(parts)))
            });
            let begun = Instant::now();
            let served = http1::Builder::new()
                .half_close(true)
                .serve_connection(io, service)
                .await;
            served.unwrap();
            assert!(begun.elapsed() > 4 * PATIENCE);
            let answer = all(far).await;
            assert_eq!(answer.matches("part").count(), 5, "{answer}");
            assert!(answer.ends_with("\r\n0\r\n\r\n"), "{answer}");
        });
    }
}
