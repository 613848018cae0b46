//! The body of a request as its client sends it, over HTTP/1.1 or HTTP/2.

use crate::body::BodyError;
use crate::http1;
use crate::http2::{Opening, StreamBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// A request's body, as far as it has come.
#[derive(Debug)]
pub(crate) enum Received {
    Http1(http1::Upload),
    Http2(StreamBody),
    /// There is none: the stream is to become a tunnel (RFC 8441). Gone when somebody has taken it.
    Tunnel(Option<Box<Opening>>),
}

impl Received {
    /// The client's end of the tunnel that an extended CONNECT asks for.
    pub(crate) fn take_tunnel(&mut self) -> Option<Box<Opening>> {
        match self {
            Received::Tunnel(opening) => opening.take(),
            Received::Http1(_) | Received::Http2(_) => None,
        }
    }

    /// The client's connection of HTTP/1, once it speaks another protocol.
    pub(crate) fn switch(&self) -> Option<oneshot::Receiver<http1::Switched>> {
        match self {
            Received::Http1(upload) => Some(upload.switch()),
            Received::Http2(_) | Received::Tunnel(_) => None,
        }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Received::Http1(upload) => upload.poll_frame(cx),
            Received::Http2(upload) => upload.poll_frame(cx),
            Received::Tunnel(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Received::Http1(upload) => upload.is_at_end(),
            Received::Http2(upload) => upload.is_at_end(),
            Received::Tunnel(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Received::Http1(upload) => upload.size_hint(),
            Received::Http2(upload) => upload.size_hint(),
            Received::Tunnel(_) => SizeHint::with_exact(0),
        }
    }
}
