//! The body of an answer, or of a request to an upstream, on its way into a stream, as who takes it makes room for it.

use super::piece::{Piece, Unsent};
use crate::deadline::Deadline;
use crate::headers;
use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::{Body, Frame};
use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Bytes of one answer that h2 holds until they are written. With [`super::MAX_STREAMS`] it bounds what a client that reads
/// nothing can make us hold.
pub(super) const MAX_BUFFERED_BYTES: usize = 64 * 1024;

/// One stream, into which a body is written. No more is asked of a body than was written of it.
pub(crate) struct Sending {
    stream: SendStream<Piece>,
    /// How long a client may make no room for what waits. Upstreams have their own times.
    patience: Option<Duration>,
    unsent: Option<Rc<Unsent>>,
}

/// The stream takes no more: the other side has reset it, or has gone, or was given up.
#[derive(Debug)]
pub(crate) struct Closed;

impl From<h2::Error> for Closed {
    fn from(_: h2::Error) -> Closed {
        Closed
    }
}

impl Sending {
    pub(crate) fn new(stream: SendStream<Piece>, patience: Option<Duration>) -> Sending {
        Sending {
            stream,
            patience,
            unsent: None,
        }
    }

    /// Writes a body that ends with its first frame, if the client has room for all of it; gives the frame back otherwise. Most
    /// answers are such, and need no future to be written.
    pub(super) fn pass_on_whole<E>(
        &mut self,
        first: Option<Result<Frame<Bytes>, E>>,
    ) -> Result<(), Option<Result<Frame<Bytes>, E>>> {
        let data = match first.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) if data.len() <= MAX_BUFFERED_BYTES => data,
            Some(Ok(Ok(data))) => return Err(Some(Ok(Frame::data(data)))),
            Some(Ok(Err(other))) => return Err(Some(Ok(other))),
            Some(Err(error)) => return Err(Some(Err(error))),
            None => return Err(None),
        };
        self.stream.reserve_capacity(data.len());
        if self.stream.capacity() < data.len() {
            return Err(Some(Ok(Frame::data(data))));
        }
        // If the client has gone, that is seen by nobody.
        let _ = self.stream.send_data(Piece::new(data), true);
        Ok(())
    }

    /// Writes a body to its end, beginning with what has been got of it. One that breaks off resets the stream, with the
    /// reason that another stream of HTTP/2 broke off for, if that was it.
    pub(crate) async fn pass_on<B>(
        mut self,
        mut first: Option<Result<Frame<Bytes>, B::Error>>,
        mut body: B,
    ) -> Result<(), Closed>
    where
        B: Body<Data = Bytes, Error: Error + 'static> + Unpin,
    {
        loop {
            let frame = match first.take() {
                Some(frame) => Some(frame),
                None => self.next(&mut body).await?,
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => {
                    let is_last = body.is_end_stream();
                    self.write(data, is_last).await?;
                    if is_last {
                        return Ok(());
                    }
                }
                Some(Ok(Err(other))) => {
                    if let Ok(mut trailers) = other.into_trailers() {
                        headers::clean_response(&mut trailers);
                        return Ok(self.stream.send_trailers(trailers)?);
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "a body broke off");
                    self.stream.send_reset(reason(&error));
                    return Ok(());
                }
                None => return Ok(self.stream.send_data(Piece::new(Bytes::new()), true)?),
            }
        }
    }

    async fn next<B>(
        &mut self,
        body: &mut B,
    ) -> Result<Option<Result<Frame<Bytes>, B::Error>>, Closed>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
            Poll::Pending => self.stream.poll_reset(cx).map(|_| Err(Closed)),
        })
        .await
    }

    async fn write(&mut self, mut data: Bytes, is_last: bool) -> Result<(), Closed> {
        while !data.is_empty() {
            let room = self.room(data.len()).await?;
            let now = data.split_to(room.min(data.len()));
            let is_whole = is_last && data.is_empty();
            let piece = match self.patience {
                // Nothing comes after it that could wait.
                Some(_) if !is_whole => self.unsent.get_or_insert_with(Unsent::new).piece(now),
                Some(_) | None => Piece::new(now),
            };
            self.stream.send_data(piece, is_whole)?;
            if is_whole {
                return Ok(());
            }
        }
        if is_last {
            self.stream.send_data(Piece::new(Bytes::new()), true)?;
        }
        Ok(())
    }

    /// How much of so many bytes the other side has room for now; waits for some.
    async fn room(&mut self, bytes: usize) -> Result<usize, Closed> {
        // Only for what is there to be sent: all streams share the room of their connection.
        self.stream.reserve_capacity(bytes.min(MAX_BUFFERED_BYTES));
        let room = self.stream.capacity();
        if room > 0 {
            return Ok(room);
        }
        let blocked = self.patience.map(Deadline::after);
        poll_fn(|cx| self.poll_room(cx, blocked.as_ref())).await
    }

    fn poll_room(
        &mut self,
        cx: &mut Context<'_>,
        blocked: Option<&Deadline>,
    ) -> Poll<Result<usize, Closed>> {
        match self.stream.poll_capacity(cx) {
            Poll::Ready(Some(Ok(0))) | Poll::Pending => {}
            Poll::Ready(Some(Ok(room))) => return Poll::Ready(Ok(room)),
            Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Err(Closed)),
        }
        let (Some(blocked), Some(patience)) = (blocked, self.patience) else {
            return Poll::Pending;
        };
        while blocked.poll_over(cx).is_ready() {
            let unsent = self.unsent.as_ref();
            let Some(left) = unsent.and_then(|unsent| unsent.patience(patience)) else {
                tracing::debug!("a stream is reset whose client takes nothing of it");
                self.stream.send_reset(Reason::CANCEL);
                return Poll::Ready(Err(Closed));
            };
            blocked.set_after(left);
        }
        Poll::Pending
    }
}

/// What the other side is told by, of a body that broke off.
fn reason(error: &(dyn Error + 'static)) -> Reason {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            // With NO_ERROR clients may take what they have for the whole (RFC 9113 section 8.1).
            let reason = error.reason().filter(|reason| *reason != Reason::NO_ERROR);
            return reason.unwrap_or(Reason::INTERNAL_ERROR);
        }
        cause = error.source();
    }
    Reason::INTERNAL_ERROR
}

#[cfg(test)]
mod tests;
