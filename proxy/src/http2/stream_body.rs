//! The body of a message over HTTP/2, taken as the other side takes it.

use crate::body::BodyError;
use crate::interim::Interims;
use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Frame, SizeHint};
use std::task::{Context, Poll, ready};

/// What a client or an upstream sends on one stream. What it may send more, it is told as soon as what came is asked for, so
/// that at most a window of it waits here.
#[derive(Debug)]
pub(crate) struct StreamBody {
    stream: RecvStream,
    /// Bytes still to come, where the head tells; h2 holds the sender to it (RFC 9113 section 8.1.1).
    left: Option<u64>,
    /// Only trailers can still come.
    has_no_more_data: bool,
    /// The client sends nothing before it is told to (RFC 9110 section 10.1.1).
    waiting: Option<Interims>,
}

impl StreamBody {
    /// `waiting` is whom to tell, if the client wants to be told, that its body is asked for.
    pub(crate) fn new(
        stream: RecvStream,
        fields: &HeaderMap,
        waiting: Option<Interims>,
    ) -> StreamBody {
        let left = match stream.is_end_stream() {
            true => Some(0),
            // Several of them say the same, or h2 had refused the message.
            false => fields.get(CONTENT_LENGTH).and_then(|length| {
                let length = length.to_str().ok()?;
                length.parse().ok()
            }),
        };
        StreamBody {
            stream,
            left,
            has_no_more_data: false,
            waiting,
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(waiting) = self.waiting.take() {
            waiting.go_on();
        }
        if !self.has_no_more_data {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // Fails only for more than came.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    if let Some(left) = &mut self.left {
                        *left = left.saturating_sub(data.len() as u64);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                // However it says so, who resets a stream has not sent all of it: what comes behind the end h2 keeps apart.
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => self.has_no_more_data = true,
            }
        }
        match ready!(self.stream.poll_trailers(cx)) {
            Ok(trailers) => Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers)))),
            Err(error) => Poll::Ready(Some(Err(error.into()))),
        }
    }

    /// The stream, of which nothing was read as a body: it becomes a tunnel.
    pub(crate) fn into_stream(self) -> RecvStream {
        self.stream
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.stream.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.left.map_or(SizeHint::default(), SizeHint::with_exact)
    }
}
