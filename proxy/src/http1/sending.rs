//! An answer on its way out: its head, and its body as it comes.

use super::answer_head::Framing;
use super::wire::Wire;
use crate::access_log::Logged;
use crate::body::BodyError;
use crate::upstream::write_field;
use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use http_body::{Body as _, Frame};
use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice, Write as _};
use std::mem::take;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite as _;

/// Pieces of a body up to this size are copied behind what is to be written before them.
const SMALL_BYTES: usize = 4 * 1024;
/// Longest buffer that is kept for other answers.
const KEPT_BYTES: usize = 16 * 1024;

thread_local! {
    /// Where heads are written before they are sent: one after the other, as nearly all go out at once.
    static HEAD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Room for a head.
pub(super) fn head() -> Vec<u8> {
    HEAD.take()
}

fn give_back(mut head: Vec<u8>) {
    if head.capacity() <= KEPT_BYTES {
        head.clear();
        HEAD.set(head);
    }
}

/// What is still to be sent of one answer.
#[derive(Debug)]
pub(super) struct Sending {
    body: Logged,
    framing: Framing,
    /// Trailers that may come.
    announced: Vec<HeaderName>,
    /// Nothing more comes from the body.
    is_over: bool,
    broken: Option<BodyError>,
    /// To be written next, beginning there, then `data`, and behind that the end of a chunk.
    before: Vec<u8>,
    written: usize,
    data: Bytes,
    after: &'static [u8],
    /// What was written is on its way still: meanwhile the body has not said who is to be woken.
    is_held_up: bool,
}

impl Sending {
    /// A head as it is to be written, and the body behind it.
    pub(super) fn new(
        head: Vec<u8>,
        body: Logged,
        framing: Framing,
        announced: Vec<HeaderName>,
    ) -> Sending {
        Sending {
            is_over: matches!(framing, Framing::None | Framing::Length(0)),
            body,
            framing,
            announced,
            broken: None,
            before: head,
            written: 0,
            data: Bytes::new(),
            after: b"",
            is_held_up: false,
        }
    }

    /// Sends what there is; ready when all is sent. An error says that the client has gone, or that the answer broke off.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, wire: &Wire) -> Poll<io::Result<()>> {
        loop {
            // What is there of the body already goes along with what is before it.
            let mut is_waiting = false;
            while !self.is_over && self.data.is_empty() && self.before.len() < SMALL_BYTES {
                match Pin::new(&mut self.body).poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => {
                        self.add(frame);
                        if !self.is_over && self.body.is_end_stream() {
                            self.end(None);
                        }
                    }
                    Poll::Ready(Some(Err(error))) => self.breaks_off(error),
                    Poll::Ready(None) => self.end(None),
                    Poll::Pending => {
                        is_waiting = true;
                        break;
                    }
                }
            }
            if !self.is_written() {
                ready!(self.poll_write(cx, wire))?;
                continue;
            }
            if self.is_over {
                ready!(wire.with_line(|line| line.get_mut().poll_sent(cx)))?;
                let Some(error) = self.broken.take() else {
                    return Poll::Ready(Ok(()));
                };
                if self.framing == Framing::Close {
                    // Its end would be that of the connection.
                    wire.reset();
                }
                return Poll::Ready(Err(io::Error::other(error)));
            }
            if is_waiting {
                // Whether the client is still there.
                match wire.with_line(|line| line.poll_flush(cx)) {
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    // The client takes more, so there may be more of the body.
                    Poll::Ready(Ok(())) if take(&mut self.is_held_up) => {}
                    Poll::Ready(Ok(())) => return Poll::Pending,
                    Poll::Pending => {
                        self.is_held_up = true;
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    fn is_written(&self) -> bool {
        self.written == self.before.len() && self.data.is_empty() && self.after.is_empty()
    }

    fn breaks_off(&mut self, error: BodyError) {
        self.is_over = true;
        self.broken = Some(error);
    }

    fn add(&mut self, frame: Frame<Bytes>) {
        let mut data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => return self.end(frame.into_trailers().ok().as_ref()),
        };
        if data.is_empty() {
            return;
        }
        match &mut self.framing {
            Framing::Chunked => {
                // Writing to a vector does not fail.
                let _ = write!(self.before, "{:x}\r\n", data.len());
            }
            Framing::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX);
                data.truncate(length);
                *left = left.saturating_sub(data.len() as u64);
                self.is_over = *left == 0;
            }
            Framing::Close => {}
            Framing::None => return,
        }
        let after = match self.framing {
            Framing::Chunked => &b"\r\n"[..],
            _ => b"",
        };
        if data.len() <= SMALL_BYTES {
            self.before.extend_from_slice(&data);
            self.before.extend_from_slice(after);
        } else {
            self.data = data;
            self.after = after;
        }
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) {
        self.is_over = true;
        match self.framing {
            Framing::Chunked => {
                // Behind a piece that is not copied, this has to wait for it.
                if !self.data.is_empty() {
                    self.after = b"\r\n0\r\n\r\n";
                    return;
                }
                self.before.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.into_iter().flatten() {
                    if self.announced.contains(name) {
                        write_field(name, value, &mut self.before);
                    }
                }
                self.before.extend_from_slice(b"\r\n");
            }
            // It is shorter than it said: what follows would be taken for the rest of it.
            Framing::Length(1..) => {
                self.broken = Some(BodyError::Cut(ErrorKind::UnexpectedEof.into()));
            }
            Framing::Length(0) | Framing::None | Framing::Close => {}
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, wire: &Wire) -> Poll<io::Result<()>> {
        let before = self.before.get(self.written..).unwrap_or_default();
        // One piece costs the kernel less than the same in a list.
        let count = ready!(wire.with_line(|line| match (before, self.after) {
            (before, b"") if self.data.is_empty() => line.poll_write(cx, before),
            (b"", b"") => line.poll_write(cx, &self.data),
            (before, after) => {
                let slices = [before, &self.data, after].map(IoSlice::new);
                line.poll_write_vectored(cx, &slices)
            }
        }))?;
        if count == 0 {
            return Poll::Ready(Err(ErrorKind::WriteZero.into()));
        }
        let of_before = count.min(before.len());
        self.written += of_before;
        if self.written == self.before.len() {
            self.before.clear();
            self.written = 0;
        }
        let of_data = (count - of_before).min(self.data.len());
        // All of it lets go of its memory.
        drop(self.data.split_to(of_data));
        let of_after = count - of_before - of_data;
        self.after = self.after.get(of_after..).unwrap_or_default();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        give_back(take(&mut self.before));
    }
}
