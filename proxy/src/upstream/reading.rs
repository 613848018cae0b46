//! The body of an answer, read as its client takes it.

use super::connection::{Held, MAX_PIECE_BYTES};
use super::{Malformed, body_length::BodyLength};
use crate::body::BodyError;
use crate::chunked::Chunked;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::io;
use std::task::{Context, Poll, ready};

/// What is read first of a body whose length is not known, which may come little by little. It is twice as much whenever all of it
/// came at once.
const FIRST_PIECE_BYTES: usize = 16 * 1024;

/// A body that has begun to come.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Gone when the body has ended, or has broken off.
    held: Option<Held>,
    end: End,
    /// What has come of it, or of its chunks.
    come: Bytes,
    /// Data that was read along with the head.
    first: Bytes,
    piece_bytes: usize,
    may_be_kept: bool,
}

#[derive(Debug)]
enum End {
    After(u64),
    Chunks(Box<Chunked>),
    Close,
}

/// A body as it is known by what came with its head.
#[derive(Debug)]
pub(super) enum Begun {
    /// All of it; and the connection, if it may be used again.
    Whole(Bytes, Option<Held>),
    Part(Box<Reading>),
}

impl Reading {
    /// Begins with what came behind the head.
    pub(super) fn begin(
        held: Held,
        length: BodyLength,
        may_be_kept: bool,
        mut come: Bytes,
    ) -> Result<Begun, Malformed> {
        let mut first = Bytes::new();
        let end = match length {
            BodyLength::Exactly(bytes) => match usize::try_from(bytes) {
                Ok(bytes) if bytes <= come.len() => {
                    let body = come.split_to(bytes);
                    // What is too much is no answer to anything.
                    let is_clean = may_be_kept && come.is_empty();
                    return Ok(Begun::Whole(body, is_clean.then_some(held)));
                }
                _ => End::After(bytes),
            },
            BodyLength::Chunked => {
                let mut chunked = Chunked::new();
                first = chunked.read(&mut come)?;
                if chunked.is_at_end() && !chunked.has_trailers() {
                    let is_clean = may_be_kept && come.is_empty();
                    return Ok(Begun::Whole(first, is_clean.then_some(held)));
                }
                End::Chunks(Box::new(chunked))
            }
            BodyLength::UntilClose => End::Close,
        };
        Ok(Begun::Part(Box::new(Reading {
            held: Some(held),
            end,
            come,
            first,
            piece_bytes: FIRST_PIECE_BYTES,
            may_be_kept,
        })))
    }

    /// The next piece. After the last, or an error, the connection is not read from any more.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.first)))));
        }
        let frame = ready!(self.poll_next(cx));
        if frame.is_err() {
            self.held = None;
        }
        Poll::Ready(frame.transpose())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, BodyError>> {
        match &mut self.end {
            End::After(0) => Poll::Ready(Ok(None)),
            End::After(left) => {
                if self.come.is_empty() {
                    let left = usize::try_from(*left).unwrap_or(usize::MAX);
                    self.come = ready!(more(&self.held, cx, b"", MAX_PIECE_BYTES.min(left)))?;
                    if self.come.is_empty() {
                        return Poll::Ready(Err(cut()));
                    }
                }
                let data = std::mem::take(&mut self.come);
                if let End::After(left) = &mut self.end {
                    *left = left.saturating_sub(data.len() as u64);
                }
                Poll::Ready(Ok(Some(Frame::data(data))))
            }
            End::Chunks(chunked) => loop {
                let data = chunked.read(&mut self.come)?;
                if !data.is_empty() {
                    return Poll::Ready(Ok(Some(Frame::data(data))));
                }
                if chunked.is_at_end() {
                    let trailers = chunked.take_trailers();
                    return Poll::Ready(Ok(trailers.map(Frame::trailers)));
                }
                let before = self.come.len();
                self.come = ready!(more(&self.held, cx, &self.come, self.piece_bytes))?;
                let count = self.come.len() - before;
                if count == 0 {
                    return Poll::Ready(Err(cut()));
                }
                self.piece_bytes = grown(self.piece_bytes, count);
            },
            End::Close => {
                let mut data = std::mem::take(&mut self.come);
                if data.is_empty() {
                    if self.held.is_none() {
                        return Poll::Ready(Ok(None));
                    }
                    data = ready!(more(&self.held, cx, b"", self.piece_bytes))?;
                    self.piece_bytes = grown(self.piece_bytes, data.len());
                }
                if data.is_empty() {
                    self.held = None;
                    return Poll::Ready(Ok(None));
                }
                Poll::Ready(Ok(Some(Frame::data(data))))
            }
        }
    }

    /// Whether all of it has been taken.
    pub(crate) fn is_at_end(&self) -> bool {
        let is_over = match &self.end {
            End::After(left) => *left == 0,
            End::Chunks(chunked) => chunked.is_at_end() && !chunked.has_trailers(),
            End::Close => self.held.is_none() && self.come.is_empty(),
        };
        is_over && self.first.is_empty()
    }

    /// The connection, once all of the body has been taken, if it may be used again.
    pub(crate) fn take_held(&mut self) -> Option<Held> {
        let is_clean = self.may_be_kept && self.come.is_empty();
        self.held.take().filter(|_| is_clean)
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match &self.end {
            End::After(left) => SizeHint::with_exact(*left),
            End::Chunks(_) | End::Close => SizeHint::default(),
        }
    }
}

/// What is read at once after so much of a piece came.
fn grown(piece_bytes: usize, came: usize) -> usize {
    match came == piece_bytes {
        true => (2 * piece_bytes).min(MAX_PIECE_BYTES),
        false => piece_bytes,
    }
}

/// What has come and more.
fn more(
    held: &Option<Held>,
    cx: &mut Context<'_>,
    come: &[u8],
    most: usize,
) -> Poll<io::Result<Bytes>> {
    match held {
        Some(held) => held.connection.poll_more(cx, come, most),
        None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
    }
}

fn cut() -> BodyError {
    BodyError::Cut(io::ErrorKind::UnexpectedEof.into())
}
