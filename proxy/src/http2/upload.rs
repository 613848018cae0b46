//! The body of a request over HTTP/2, taken as its upstream takes it.

use crate::body::BodyError;
use crate::interim::Interims;
use bytes::Bytes;
use h2::RecvStream;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http_body::{Frame, SizeHint};
use std::task::{Context, Poll, ready};

/// What a client sends on one stream. What it may send more, it is told as soon as what came is asked for, so that at most a
/// window of it waits here.
#[derive(Debug)]
pub(crate) struct Upload {
    stream: RecvStream,
    /// Bytes still to come, where the head tells; h2 holds the client to it (RFC 9113 section 8.1.1).
    left: Option<u64>,
    /// Only trailers can still come.
    has_no_more_data: bool,
    /// The client sends nothing before it is told to (RFC 9110 section 10.1.1).
    waiting: Option<Interims>,
}

impl Upload {
    /// `waiting` is whom to tell, if the client wants to be told, that its body is asked for.
    pub(super) fn new(stream: RecvStream, head: &Parts, waiting: Option<Interims>) -> Upload {
        let left = match stream.is_end_stream() {
            true => Some(0),
            // Several of them say the same, or h2 had refused the request.
            false => head.headers.get(CONTENT_LENGTH).and_then(|length| {
                let length = length.to_str().ok()?;
                length.parse().ok()
            }),
        };
        Upload {
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
                // However it says so, who resets a request has not sent all of it.
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => self.has_no_more_data = true,
            }
        }
        match ready!(self.stream.poll_trailers(cx)) {
            Ok(trailers) => Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers)))),
            Err(error) => Poll::Ready(Some(Err(error.into()))),
        }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.stream.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.left.map_or(SizeHint::default(), SizeHint::with_exact)
    }
}
