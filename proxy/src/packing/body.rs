//! The body of an answer on its way through a coder.

use super::Coding;
use super::coder::Coder;
use crate::body::{BodyError, ResponseBody};
use bytes::Bytes;
use http_body::{Body, Frame};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Packed bytes are sent on in pieces of this size, unless the upstream pauses.
const PIECE_BYTES: usize = 16 * 1024;
/// How much is packed before others on the thread have their turn: some 300 us of a core.
const TURN_BYTES: usize = 32 * 1024;

/// A body that is packed as it passes. Whenever the upstream has nothing more for now, all it gave is sent on.
#[derive(Debug)]
pub(crate) struct Packed {
    plain: ResponseBody,
    /// What came and was not packed yet.
    waiting: Bytes,
    /// Gone when the end is packed.
    coder: Option<Coder>,
    /// Something went into the coder that has not been brought out.
    holds_back: bool,
    trailers: Option<Frame<Bytes>>,
}

impl Packed {
    /// `bytes` is the length of the body, if that is known.
    pub(crate) fn new(
        plain: ResponseBody,
        coding: Coding,
        bytes: Option<u64>,
    ) -> io::Result<Packed> {
        Ok(Packed {
            plain,
            waiting: Bytes::new(),
            coder: Some(Coder::new(coding, bytes)?),
            holds_back: false,
            trailers: None,
        })
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.coder.is_none() && self.trailers.is_none()
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.poll_packed(cx) {
            Ok(Poll::Ready(frame)) => Poll::Ready(frame.map(Ok)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(error) => {
                // Nothing comes after an error.
                self.coder = None;
                self.trailers = None;
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn poll_packed(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Result<Poll<Option<Frame<Bytes>>>, BodyError> {
        let mut turn = TURN_BYTES;
        loop {
            let Some(coder) = &mut self.coder else {
                return Ok(Poll::Ready(self.trailers.take()));
            };
            if coder.ready_bytes() >= PIECE_BYTES {
                return Ok(Poll::Ready(Some(Frame::data(coder.take()))));
            }
            if !self.waiting.is_empty() {
                if turn == 0 {
                    cx.waker().wake_by_ref();
                    return Ok(Poll::Pending);
                }
                let piece = self.waiting.split_to(self.waiting.len().min(turn));
                turn -= piece.len();
                coder.push(&piece).map_err(BodyError::Packing)?;
                self.holds_back = true;
                continue;
            }
            match Pin::new(&mut self.plain).poll_frame(cx) {
                Poll::Ready(Some(frame)) => match frame?.into_data() {
                    Ok(data) => self.waiting = data,
                    Err(trailers) => {
                        self.trailers = Some(trailers);
                        return self.finish();
                    }
                },
                Poll::Ready(None) => return self.finish(),
                Poll::Pending => {
                    if self.holds_back {
                        coder.flush().map_err(BodyError::Packing)?;
                        self.holds_back = false;
                    }
                    if coder.ready_bytes() == 0 {
                        return Ok(Poll::Pending);
                    }
                    return Ok(Poll::Ready(Some(Frame::data(coder.take()))));
                }
            }
        }
    }

    fn finish(&mut self) -> Result<Poll<Option<Frame<Bytes>>>, BodyError> {
        let Some(coder) = self.coder.take() else {
            return Ok(Poll::Ready(None));
        };
        let rest = coder.finish().map_err(BodyError::Packing)?;
        Ok(Poll::Ready(Some(Frame::data(rest))))
    }
}
