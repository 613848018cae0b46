//! A request over a connection of HTTP/2, which it shares with others.

use super::{Exchange, Given, Lost, Sent, shape};
use crate::body::{AnswerBody, RequestBody};
use crate::fault::Fault;
use crate::interim::Interims;
use crate::pool::SharedSender;
use crate::shared_stream::{Asking, Failure, SharedAnswer, Unsent};
use crate::websocket::Socket;
use h2::{Reason, RecvStream};
use http::{Request, Response};

impl Exchange {
    pub(super) async fn send_over_http2(
        &mut self,
        mut shared: SharedSender,
        interims: &Interims,
    ) -> Sent {
        let Some(mut request) = self.request.take() else {
            return Sent::Lost(Lost::Broken);
        };
        // Of a WebSocket as it was: another upstream may want it in the words of HTTP/1.1.
        let is_socket = self.socket.is_some();
        let socket = is_socket.then(|| copy_of(&request));
        if let Err(fault) = shape(&mut request, true, &self.host) {
            return Sent::Failed(fault);
        }
        // What an upstream refuses it has not looked at, whatever the method is.
        self.request = Some(socket.unwrap_or_else(|| copy_of(&request)));
        if is_socket {
            Socket::connect(&mut request);
        }
        let (head, body) = request.into_parts();
        let begun = Asking::begin(&mut shared.sender, Request::from_parts(head, ()), body);
        let mut asking = match begun {
            Ok(asking) => asking,
            Err(unsent) => return self.unsent(*unsent),
        };
        let answered = self.in_time(|cx| asking.poll(cx, interims));
        let error = match answered.await {
            Ok(Ok(response)) => {
                self.answer_has_begun();
                return Sent::Answered(self.shared(asking, response, shared));
            }
            Ok(Err(Failure::Broken(error))) => error,
            Ok(Err(Failure::Switched)) => return Sent::Failed(Fault::NotHttp),
            Err(fault) => return Sent::Failed(fault),
        };
        if let Some(fault) = self.body_fault() {
            return Sent::Failed(fault);
        }
        if is_refused(&error) {
            self.refill();
            return Sent::Lost(Lost::Refused);
        }
        if !self.is_repeatable {
            self.request = None;
        }
        if !error.is_library() {
            Sent::Lost(Lost::Broken)
        } else if is_socket {
            Sent::Failed(Fault::NoWebSockets)
        } else {
            Sent::Failed(Fault::NotHttp)
        }
    }

    /// Nothing of the request was sent: the connection takes none any more, or HTTP/2 does not know such a request.
    fn unsent(&mut self, Unsent { error, body }: Unsent) -> Sent {
        if !(error.is_io() || error.is_go_away()) {
            tracing::debug!(%error, "a request cannot be sent over HTTP/2");
            return Sent::Failed(Fault::TargetMalformed);
        }
        if let Some(request) = &mut self.request {
            *request.body_mut() = body;
        }
        Sent::Lost(Lost::Unsent)
    }

    fn shared(
        &mut self,
        asking: Asking,
        response: Response<RecvStream>,
        shared: SharedSender,
    ) -> Response<Given> {
        let mut response = SharedAnswer::of(asking, response, shared);
        if let Some(socket) = self.socket.take() {
            socket.agree(&mut response);
        }
        response.map(|body| Given::Body(AnswerBody::Http2(Box::new(body))))
    }

    /// Gives the copy of a request its body again, or lets it go if that is not to be had.
    fn refill(&mut self) {
        let Some(progress) = &self.progress else {
            return;
        };
        self.request = match (self.request.take(), progress.again()) {
            (Some(request), Some(body)) => Some(request.map(|_| body)),
            _ => None,
        };
    }
}

/// The same request once more, without its body.
fn copy_of(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::None);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// Whether an upstream says over HTTP/2 that it has done nothing about the request (RFC 9113 section 8.7):
/// it refused the stream, or closed the connection to new ones before this one.
fn is_refused(error: &h2::Error) -> bool {
    error.reason() == Some(Reason::REFUSED_STREAM)
        || (error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR))
}
