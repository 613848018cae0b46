//! One request over a shared connection of HTTP/2, and its answer.

use crate::body::{BodyError, RequestBody};
use crate::http2::{Piece, Sending, StreamBody, StreamSocket};
use crate::interim::Interims;
use crate::pool::SharedSender;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use std::task::{Context, Poll, ready};
use tokio::task::spawn_local;

/// A request whose head has been sent. Dropped before its answer has come, it resets its stream.
pub(crate) struct Asking {
    answer: ResponseFuture,
    /// What is left to do about its body. Whoever waits for the answer sends it.
    uploading: Option<LocalBoxFuture<'static, ()>>,
    /// The way to the upstream, of a stream that is to become a tunnel.
    tunnel: Option<SendStream<Piece>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The stream or its connection broke off.
    Broken(h2::Error),
    /// The upstream wants to change the protocol, which HTTP/2 does not know (RFC 9113 section 8.6).
    Switched,
}

/// Nothing of a request could be sent.
pub(crate) struct Unsent {
    pub(crate) error: h2::Error,
    pub(crate) body: RequestBody,
}

impl Asking {
    /// Sends the head of a request, and what there is of its body with the next look for its answer.
    ///
    /// # Errors
    /// If nothing of it can be sent over this connection; the body is given back.
    pub(crate) fn begin(
        sender: &mut SendRequest<Piece>,
        mut head: Request<()>,
        body: RequestBody,
    ) -> Result<Asking, Box<Unsent>> {
        let is_connect = head.method() == Method::CONNECT;
        let is_empty = body.is_end_stream();
        if is_empty && has_usually_a_body(head.method()) {
            let lengths = head.headers_mut().entry(CONTENT_LENGTH);
            lengths.or_insert(HeaderValue::from_static("0"));
        }
        let (answer, stream) = match sender.send_request(head, is_empty && !is_connect) {
            Ok(begun) => begun,
            Err(error) => return Err(Box::new(Unsent { error, body })),
        };
        let mut asking = Asking {
            answer,
            uploading: None,
            tunnel: None,
        };
        if is_connect {
            asking.tunnel = Some(stream);
        } else if !is_empty {
            let sending = Sending::new(stream, None);
            // What stands in its way, the answer tells as well.
            asking.uploading = Some(sending.pass_on(None, body).map(drop).boxed_local());
        }
        Ok(asking)
    }

    /// Sends more of the body, passes on what the upstream says before its answer, and looks for that.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        interims: &Interims,
    ) -> Poll<Result<Response<RecvStream>, Failure>> {
        let uploading = self.uploading.as_mut();
        if uploading.is_some_and(|uploading| uploading.poll_unpin(cx).is_ready()) {
            self.uploading = None;
        }
        // What goes wrong, the answer tells as well.
        while let Poll::Ready(Some(Ok(interim))) = self.answer.poll_informational(cx) {
            if interim.status() == StatusCode::SWITCHING_PROTOCOLS {
                return Poll::Ready(Err(Failure::Switched));
            }
            interims.push(interim.status(), interim.headers());
        }
        self.answer.poll_unpin(cx).map_err(Failure::Broken)
    }

    /// The way to the upstream, if an answer of this status makes a tunnel of the stream. What is left of the request's body goes
    /// on by itself.
    fn into_tunnel(self, status: StatusCode) -> Option<SendStream<Piece>> {
        if let Some(uploading) = self.uploading {
            spawn_local(uploading);
        }
        self.tunnel.filter(|_| status == StatusCode::OK)
    }
}

/// Methods whose requests say that they have no body, where they have none (RFC 9110 section 8.6).
fn has_usually_a_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

/// The body of an answer over HTTP/2, with its stream's place.
#[derive(Debug)]
pub(crate) struct SharedAnswer {
    body: StreamBody,
    /// The other direction, of a stream that has become a tunnel.
    tunnel: Option<SendStream<Piece>>,
    /// Gone when the body has ended.
    place: Option<SharedSender>,
}

impl SharedAnswer {
    /// The answer to a request that was asked for over `place`.
    pub(crate) fn of(
        asking: Asking,
        response: Response<RecvStream>,
        place: SharedSender,
    ) -> Response<SharedAnswer> {
        let (head, stream) = response.into_parts();
        let tunnel = asking.into_tunnel(head.status);
        let answer = SharedAnswer {
            body: StreamBody::new(stream, &head.headers, None),
            tunnel,
            place: Some(place),
        };
        Response::from_parts(head, answer)
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(self.body.poll_frame(cx));
        if let Some(Err(_)) = frame {
            self.place = None;
        }
        Poll::Ready(frame)
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.body.is_at_end()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    /// Another may have it: the stream has ended.
    pub(crate) fn give_up_place(&mut self) {
        self.place = None;
    }

    /// The upstream's end of the tunnel it has agreed to, with its place; none if it has not.
    pub(crate) fn into_tunnel(self) -> Option<(StreamSocket, Option<SharedSender>)> {
        let socket = StreamSocket::new(self.body.into_stream(), self.tunnel?);
        Some((socket, self.place))
    }
}
