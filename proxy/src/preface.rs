//! The beginning of a plain connection. hyper finds out that a client speaks HTTP/2 with prior knowledge only if the
//! preface comes in one piece, and answers the first half of one with a 400.

use crate::line::Line;
use crate::socket::Socket;
use crate::taken::Taken;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead as _, ReadBuf};

/// RFC 9113 section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What is read at first; nearly all heads of requests are shorter.
const FIRST_BYTES: usize = 2048;

/// A stream that keeps the preface of HTTP/2 back until all of it has come.
#[derive(Debug)]
pub(crate) struct Whole {
    io: TokioIo<Line<Taken<Socket>>>,
    /// What came so far, while it may become the preface; none when that is over.
    kept: Option<Vec<u8>>,
    has_come: bool,
}

impl Whole {
    pub(crate) fn new(stream: Line<Taken<Socket>>) -> Whole {
        Whole {
            io: TokioIo::new(stream),
            kept: Some(Vec::new()),
            has_come: false,
        }
    }

    /// Whether the first bytes were the preface. hyper takes it for one behind empty lines and other requests as well.
    pub(crate) fn has_come(&self) -> bool {
        self.has_come
    }

    /// The stream below what is for HTTP/1, once something was read of it, and what was read ahead.
    pub(crate) fn into_parts(self) -> (Taken<Socket>, Vec<u8>) {
        self.io.into_inner().into_parts()
    }
}

impl Read for Whole {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Some(kept) = &mut this.kept else {
            return Pin::new(&mut this.io).poll_read(cx, into);
        };
        loop {
            let mut bytes = [MaybeUninit::uninit(); FIRST_BYTES];
            let room = into.remaining().saturating_sub(kept.len()).min(FIRST_BYTES);
            let mut read = ReadBuf::uninit(bytes.get_mut(..room).unwrap_or_default());
            ready!(Pin::new(this.io.inner_mut()).poll_read(cx, &mut read))?;
            let read = read.filled();
            let is_beginning = kept.len() + read.len() < PREFACE.len()
                && PREFACE
                    .get(kept.len()..)
                    .is_some_and(|rest| rest.starts_with(read));
            if !is_beginning || read.is_empty() {
                let rest = PREFACE.get(kept.len()..);
                this.has_come = rest.is_some_and(|rest| read.starts_with(rest));
                into.put_slice(kept);
                into.put_slice(read);
                this.kept = None;
                return Poll::Ready(Ok(()));
            }
            kept.extend_from_slice(read);
        }
    }
}

impl Write for Whole {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }
}
