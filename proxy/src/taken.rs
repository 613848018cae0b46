//! A client's stream that ends in an error when the client, for too long, takes nothing of what is written to it.

use crate::deadline::Deadline;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Whether something waits until a client takes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blocked(Arc<AtomicBool>);

impl Blocked {
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, is_blocked: bool) {
        self.0.store(is_blocked, Ordering::Relaxed);
    }
}

/// A stream and how long its reader may take nothing. Reading is not limited here: what a client owes and when depends
/// on what it is asked for.
#[derive(Debug)]
pub(crate) struct Taken<S> {
    stream: S,
    limit: Duration,
    is_blocked: Blocked,
    /// Since when nothing was taken, as long as something waits for that.
    blocked: Option<Deadline>,
}

impl<S> Taken<S> {
    /// `is_blocked` is told whether what is written waits for the reader.
    pub(crate) fn new(stream: S, limit: Duration, is_blocked: Blocked) -> Taken<S> {
        Taken {
            stream,
            limit,
            is_blocked,
            blocked: None,
        }
    }

    pub(crate) fn get_ref(&self) -> &S {
        &self.stream
    }

    pub(crate) fn into_inner(self) -> S {
        self.stream
    }

    fn judge<T>(&mut self, cx: &Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            if self.blocked.is_some() {
                self.blocked = None;
                self.is_blocked.set(false);
            }
            return outcome;
        }
        self.is_blocked.set(true);
        let limit = self.limit;
        let blocked = self.blocked.get_or_insert_with(|| Deadline::after(limit));
        let over = blocked.poll_over(cx);
        over.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Taken<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Taken<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.judge(cx, outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judge(cx, outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::{Blocked, Taken};
    use crate::deadline::tests::on_paused_time;
    use std::io::ErrorKind;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::task::spawn_local;
    use tokio::time::{Instant, sleep};

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn a_reader_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
        on_paused_time(|| async {
            let (near, mut far) = duplex(10);
            let is_blocked = Blocked::default();
            let mut stream = Taken::new(near, LIMIT, is_blocked.clone());
            let reading = spawn_local(async move {
                // All of the first hundred bytes, though it takes nearly ten minutes.
                for _ in 0..10 {
                    sleep(LIMIT - Duration::from_secs(1)).await;
                    far.read_exact(&mut [0; 10]).await.unwrap();
                }
                far
            });
            let begun = Instant::now();
            stream.write_all(&[0; 100]).await.unwrap();
            assert!(!is_blocked.get());
            assert!(begun.elapsed() > 8 * LIMIT);
            let _far = reading.await.unwrap();
            let begun = Instant::now();
            let error = stream.write_all(&[0; 11]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(begun.elapsed() >= LIMIT);
            assert!(is_blocked.get());
        });
    }
}
