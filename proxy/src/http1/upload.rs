//! The body of a request, read as it is asked for.

use super::request_head::BodyLength;
use super::wire::{BodyState, Switched, Wire};
use crate::body::BodyError;
use crate::chunked::Chunked;
use crate::interim::Interims;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;

/// A request's body on its way from the client. Dropped before its end, it leaves the rest unread, and the connection then ends
/// with the answer.
#[derive(Debug)]
pub(crate) struct Upload {
    wire: Rc<Wire>,
    end: End,
    /// Told when the body is wanted that the client holds back.
    held_back: Option<Interims>,
}

#[derive(Debug)]
enum End {
    After(u64),
    Chunks(Box<Chunked>),
    /// It has broken off, or is none.
    Broken,
}

impl Upload {
    pub(super) fn new(wire: &Rc<Wire>, length: BodyLength, held_back: Option<Interims>) -> Upload {
        let end = match length {
            BodyLength::Exactly(bytes) => End::After(bytes),
            BodyLength::Chunked => End::Chunks(Box::new(Chunked::new())),
        };
        let upload = Upload {
            wire: Rc::clone(wire),
            end,
            held_back,
        };
        let body = match upload.is_at_end() {
            true => BodyState::Over,
            false => BodyState::Open,
        };
        wire.set_body(body);
        upload
    }

    /// The client's connection, once it speaks another protocol.
    pub(crate) fn switch(&self) -> oneshot::Receiver<Switched> {
        self.wire.switch()
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(interims) = self.held_back.take() {
            interims.go_on();
        }
        loop {
            match self.next() {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if self.is_at_end() => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return Poll::Ready(self.broken(error)),
            }
            match ready!(self.wire.poll_more(cx)) {
                Ok(1..) => {}
                Ok(0) => {
                    let error = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Poll::Ready(self.broken(BodyError::Left(error)));
                }
                Err(error) => return Poll::Ready(self.broken(BodyError::Left(error))),
            }
        }
    }

    /// What of it has come.
    fn next(&mut self) -> Result<Option<Frame<Bytes>>, BodyError> {
        let mut come = self.wire.come();
        let frame = match &mut self.end {
            End::Broken => return Ok(None),
            End::After(0) => None,
            End::After(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX);
                let length = length.min(come.len());
                let data = come.split_to(length);
                *left = left.saturating_sub(data.len() as u64);
                (!data.is_empty()).then(|| Frame::data(data))
            }
            End::Chunks(chunked) => {
                let data = chunked.read(&mut come)?;
                match data.is_empty() {
                    false => Some(Frame::data(data)),
                    true => chunked.take_trailers().map(Frame::trailers),
                }
            }
        };
        drop(come);
        if self.is_at_end() {
            self.wire.set_body(BodyState::Over);
        }
        Ok(frame)
    }

    fn broken(&mut self, error: BodyError) -> Option<Result<Frame<Bytes>, BodyError>> {
        self.end = End::Broken;
        self.wire.set_body(BodyState::Left);
        Some(Err(error))
    }

    pub(crate) fn is_at_end(&self) -> bool {
        match &self.end {
            End::After(left) => *left == 0,
            End::Chunks(chunked) => chunked.is_at_end() && !chunked.has_trailers(),
            End::Broken => true,
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match &self.end {
            End::After(left) => SizeHint::with_exact(*left),
            End::Chunks(_) | End::Broken => SizeHint::default(),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.wire.body() != BodyState::Open {
            return;
        }
        // What has come already costs nothing to read.
        while let Ok(Some(_)) = self.next() {}
        if self.wire.body() == BodyState::Open {
            self.wire.set_body(BodyState::Left);
        }
    }
}
