//! A client's stream of HTTP/1 below hyper, which gives the client what hyper's server cannot: interim answers.
//!
//! While a request is being answered hyper writes nothing, so that they can be put on the wire here: once all is written
//! that hyper had to say before, and as long as nothing of the answer is.

use crate::interim::{Interims, head};
use bytes::{Buf as _, Bytes};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream, and the interim answers to the request that came over it.
#[derive(Debug)]
pub(crate) struct Line<S> {
    stream: S,
    interims: Interims,
    /// What is still to be written of one that was begun.
    rest: Bytes,
    /// hyper had nothing left to write when it was here last: what it writes next begins with the head of a message.
    is_between: bool,
}

impl<S> Line<S> {
    pub(crate) fn new(stream: S, interims: Interims) -> Line<S> {
        Line {
            stream,
            interims,
            rest: Bytes::new(),
            is_between: true,
        }
    }

    pub(crate) fn into_inner(self) -> S {
        self.stream
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

    /// What has to be done before hyper writes.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_between {
            ready!(self.poll_interims(cx))?;
            self.is_between = false;
        } else if self.interims.has_any() && !self.interims.is_awaited() {
            // The answer they should have gone before may have begun.
            self.interims.clear();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
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

    /// hyper flushes at the end of each of its turns, when it has written all it had.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_between = true;
        if self.interims.is_awaited() {
            ready!(self.poll_interims(cx))?;
        } else {
            ready!(self.poll_rest(cx))?;
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::Line;
    use crate::interim::Interims;
    use crate::interim::tests::say;
    use http::StatusCode;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    const EARLY: &str = "HTTP/1.1 103 Early Hints\r\n\r\n";

    /// A line with little room in it, so that writing waits for the reader.
    fn line() -> (Line<DuplexStream>, Interims, DuplexStream) {
        let (near, far) = duplex(10);
        let interims = Interims::new();
        (Line::new(near, interims.clone()), interims, far)
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
}
