//! Writes of one turn, gathered into one: HTTP/2 writes and flushes each frame of data by itself, and each
//! would be a record of TLS and a system call.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is gathered at most: as much as one record of TLS holds (RFC 8446 section 5.1).
const KEPT_BYTES: usize = 16 * 1024;
/// Slices passed on at once, with what is kept before them.
const SLICES: usize = 16;

/// A stream that says it has flushed, and leaves it to [`Gathered::poll_send`].
#[derive(Debug)]
pub(crate) struct Gathered<IO>(Rc<RefCell<Inner<IO>>>);

#[derive(Debug)]
struct Inner<IO> {
    io: IO,
    kept: Vec<u8>,
    /// How much of `kept` has been written.
    written: usize,
    /// The stream took no more when it was written to last: there is more to be sent than is kept.
    is_full: bool,
    /// Something was read since that was asked last.
    is_heard: bool,
}

impl<IO: AsyncWrite + Unpin> Gathered<IO> {
    /// Two handles of the same stream: one to be spoken over, one to send with.
    pub(crate) fn pair(io: IO) -> (Gathered<IO>, Gathered<IO>) {
        let inner = Rc::new(RefCell::new(Inner {
            io,
            kept: Vec::new(),
            written: 0,
            is_full: false,
            is_heard: false,
        }));
        (Gathered(Rc::clone(&inner)), Gathered(inner))
    }

    /// Sends all that was written; to be called at the end of each turn, by the task that writes.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.0.borrow_mut();
        while !inner.kept.is_empty() {
            ready!(inner.poll_write_with(cx, &[]))?;
        }
        let flushed = Pin::new(&mut inner.io).poll_flush(cx);
        inner.is_full |= flushed.is_pending();
        flushed
    }

    /// Whether something that was written waits for the other end to read.
    pub(crate) fn is_behind(&self) -> bool {
        let inner = self.0.borrow();
        inner.is_full || !inner.kept.is_empty()
    }

    /// Whether the other end has said anything since this was asked last.
    pub(crate) fn take_heard(&self) -> bool {
        std::mem::take(&mut self.0.borrow_mut().is_heard)
    }
}

impl<IO: AsyncWrite + Unpin> Inner<IO> {
    /// Writes what is kept and then the slices, once; answers how much of the slices was written.
    fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let kept = self.kept.get(self.written..).unwrap_or_default();
        let mut all = [IoSlice::new(&[]); SLICES];
        let given = std::iter::once(kept).chain(slices.iter().map(|slice| &**slice));
        let mut count = 0;
        for (place, slice) in all.iter_mut().zip(given) {
            *place = IoSlice::new(slice);
            count += 1;
        }
        let first = usize::from(kept.is_empty());
        let all = all.get(first..count).unwrap_or_default();
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, all);
        self.is_full = written.is_pending();
        let written = ready!(written)?;
        let of_kept = written.min(kept.len());
        if written == 0 && of_kept < kept.len() {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.written += of_kept;
        if self.written == self.kept.len() {
            // An idle connection holds no buffer.
            self.kept = Vec::new();
            self.written = 0;
        }
        Poll::Ready(Ok(written - of_kept))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Gathered<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.0.borrow_mut();
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if inner.kept.len() + length <= KEPT_BYTES {
            if inner.kept.capacity() == 0 {
                // At once: growing step by step copies what it holds each time.
                inner.kept.reserve_exact(KEPT_BYTES);
            }
            for slice in slices {
                inner.kept.extend_from_slice(slice);
            }
            return Poll::Ready(Ok(length));
        }
        loop {
            let had_kept = !inner.kept.is_empty();
            let written = ready!(inner.poll_write_with(cx, slices))?;
            // Nothing of the slices yet, only of what was kept: 0 would mean the end of the stream.
            if written > 0 || !had_kept {
                return Poll::Ready(Ok(written));
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.0.borrow_mut().io).poll_shutdown(cx)
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Gathered<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let inner = &mut *self.0.borrow_mut();
        ready!(Pin::new(&mut inner.io).poll_read(cx, into))?;
        inner.is_heard = true;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Gathered, KEPT_BYTES};
    use futures_util::future::poll_fn;
    use proptest::prelude::{prop_assert_eq, proptest};
    use std::io::IoSlice;
    use std::pin::Pin;
    use tokio::io::{AsyncReadExt as _, AsyncWrite as _};

    proptest! {
        #[test]
        fn what_is_written_arrives_whole_and_in_order(
            sizes in proptest::collection::vec(0..3 * KEPT_BYTES / 2, 0..12),
            room in 1..100_000_usize,
            turn in 1..4_usize,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, async move {
                let (near, mut far) = tokio::io::duplex(room);
                let (mut stream, sending) = Gathered::pair(near);
                let total: usize = sizes.iter().sum();
                let arrived = tokio::task::spawn_local(async move {
                    let mut arrived = vec![];
                    far.read_to_end(&mut arrived).await.unwrap();
                    arrived
                });
                let sent: Vec<u8> = (0..total).map(|at| (at % 251) as u8).collect();
                let mut from = 0;
                for (number, size) in sizes.into_iter().enumerate() {
                    let until = from + size;
                    while from < until {
                        let (one, two) = sent[from..until].split_at((until - from) / 2);
                        let slices = [IoSlice::new(one), IoSlice::new(two)];
                        let write = |cx: &mut std::task::Context<'_>| {
                            Pin::new(&mut stream).poll_write_vectored(cx, &slices)
                        };
                        from += poll_fn(write).await.unwrap();
                    }
                    if number % turn == 0 {
                        poll_fn(|cx| sending.poll_send(cx)).await.unwrap();
                    }
                }
                poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx)).await.unwrap();
                prop_assert_eq!(arrived.await.unwrap(), sent);
                Ok(())
            })?;
        }
    }
}
