//! A request on its way out, as far as it is not written at once: the rest of its head, and its body as it comes.

use super::connection::Connection;
use super::request_head::{Framing, write_field};
use crate::body::RequestBody;
use crate::headers;
use bytes::Bytes;
use http::header::TRAILER;
use http::{HeaderMap, HeaderName};
use http_body::{Body as _, Frame};
use std::future::poll_fn;
use std::io::{IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::{JoinHandle, spawn_local};

/// Pieces of a body up to this size are copied behind what is to be written before them.
const SMALL_BYTES: usize = 4 * 1024;

/// What is still to be sent of one request.
#[derive(Debug)]
pub(super) struct Sending {
    body: RequestBody,
    framing: Framing,
    /// Trailers it has announced: no others are passed on.
    announced: Vec<HeaderName>,
    /// Nothing more comes from the body.
    is_over: bool,
    /// To be written next, beginning there, then `data`, and behind that the end of a chunk.
    before: Vec<u8>,
    written: usize,
    data: Bytes,
    after: &'static [u8],
}

/// Why the rest of a request cannot be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stuck {
    /// The upstream takes no more. It may have answered nevertheless.
    Closed,
    /// The body broke off.
    BodyBroken,
}

/// How a body is framed: by its length if that is known.
pub(super) fn framing(body: &RequestBody) -> Framing {
    match body {
        RequestBody::None => Framing::None,
        body => body
            .size_hint()
            .exact()
            .map_or(Framing::Chunked, Framing::Length),
    }
}

impl Sending {
    /// A head, or what is left of it, and its body.
    pub(super) fn new(
        head: &[u8],
        body: RequestBody,
        framing: Framing,
        fields: &HeaderMap,
    ) -> Sending {
        let announced = match framing {
            Framing::Chunked if fields.contains_key(TRAILER) => headers::announced(fields),
            _ => Vec::new(),
        };
        Sending {
            is_over: matches!(framing, Framing::None | Framing::Length(0)),
            body,
            framing,
            announced,
            before: head.to_vec(),
            written: 0,
            data: Bytes::new(),
            after: b"",
        }
    }

    /// The rest of the body.
    pub(super) fn into_body(self) -> RequestBody {
        self.body
    }

    /// Sends what there is; ready when all is sent.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        connection: &Connection,
    ) -> Poll<Result<(), Stuck>> {
        loop {
            // What is there of the body already goes along with what is before it.
            let mut is_waiting = false;
            while !self.is_over && self.data.is_empty() && self.before.len() < SMALL_BYTES {
                match Pin::new(&mut self.body).poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => self.add(frame),
                    Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(Stuck::BodyBroken)),
                    Poll::Ready(None) => self.end(None)?,
                    Poll::Pending => {
                        is_waiting = true;
                        break;
                    }
                }
            }
            if self.is_written() {
                if self.is_over {
                    return Poll::Ready(Ok(()));
                }
                if is_waiting {
                    return Poll::Pending;
                }
                continue;
            }
            ready!(self.poll_write(cx, connection))?;
        }
    }

    fn is_written(&self) -> bool {
        self.before.is_empty() && self.data.is_empty() && self.after.is_empty()
    }

    fn add(&mut self, frame: Frame<Bytes>) {
        let mut data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    // Of a body that tells its length, there can be none.
                    let _ = self.end(Some(&trailers));
                }
                return;
            }
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

    fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), Stuck> {
        self.is_over = true;
        match self.framing {
            Framing::Chunked => {
                self.before.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.into_iter().flatten() {
                    if self.announced.contains(name) {
                        write_field(name, value, &mut self.before);
                    }
                }
                self.before.extend_from_slice(b"\r\n");
                Ok(())
            }
            // It is shorter than it said: what follows would be taken for the rest of it.
            Framing::Length(1..) => Err(Stuck::BodyBroken),
            Framing::Length(0) | Framing::None => Ok(()),
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        connection: &Connection,
    ) -> Poll<Result<(), Stuck>> {
        let before = self.before.get(self.written..).unwrap_or_default();
        // One piece costs the kernel less than the same in a list.
        let count = match (before, self.after) {
            (before, b"") if self.data.is_empty() => connection.poll_write(cx, before),
            (b"", b"") => connection.poll_write(cx, &self.data),
            (before, after) => {
                let slices = [before, &self.data, after].map(IoSlice::new);
                connection.poll_write_all_of(cx, &slices)
            }
        };
        let mut count = ready!(count).map_err(|_| Stuck::Closed)?;
        let of_before = count.min(before.len());
        count -= of_before;
        self.written += of_before;
        if self.written == self.before.len() {
            self.before.clear();
            self.written = 0;
        }
        let of_data = count.min(self.data.len());
        // All of it lets go of its memory.
        drop(self.data.split_to(of_data));
        self.after = self.after.get(count - of_data..).unwrap_or_default();
        Poll::Ready(Ok(()))
    }
}

/// The rest of a request that its upstream answers before it has come: sent by a task of its own, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Uploading(JoinHandle<bool>);

impl Uploading {
    pub(super) fn start(mut sending: Box<Sending>, connection: Connection) -> Uploading {
        Uploading(spawn_local(async move {
            let sent = poll_fn(|cx| sending.poll(cx, &connection)).await;
            sent.is_ok()
        }))
    }

    /// Waits for its end; answers whether all of it was sent.
    pub(crate) async fn ended(mut self) -> bool {
        (&mut self.0).await.unwrap_or(false)
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        self.0.abort();
    }
}
