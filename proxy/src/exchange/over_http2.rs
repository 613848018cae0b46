//! A request over a connection of HTTP/2, which it shares with others.

use super::{Exchange, Given, Lost, Sent, shape};
use crate::body::{AnswerBody, RequestBody};
use crate::fault::Fault;
use crate::interim::Interims;
use crate::pool::SharedSender;
use crate::shared_connection::SharedAnswer;
use crate::websocket::Socket;
use http::{Request, Response};
use hyper::body::Incoming;
use std::pin::pin;

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
        let mut answer = pin!(shared.sender.try_send_request(request));
        let answered = self.in_time(|cx| {
            let answer = answer.as_mut().poll(cx);
            if answer.is_pending() {
                // The body is read by a task of its own, and its client may have to be told that it is wanted.
                interims.wake(cx);
            }
            answer
        });
        let mut error = match answered.await {
            Ok(Ok(response)) => {
                self.answer_has_begun();
                return Sent::Answered(self.shared(response, shared));
            }
            Ok(Err(error)) => error,
            Err(fault) => return Sent::Failed(fault),
        };
        if let Some(unsent) = error.take_message() {
            if !is_socket {
                self.request = Some(unsent);
            }
            return Sent::Lost(Lost::Unsent);
        }
        let error = error.into_error();
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
        match lost_or_failed(&error) {
            Sent::Failed(Fault::NotHttp) if is_socket => Sent::Failed(Fault::NoWebSockets),
            sent => sent,
        }
    }

    fn shared(
        &mut self,
        mut response: Response<Incoming>,
        shared: SharedSender,
    ) -> Response<Given> {
        if let Some(socket) = self.socket.take() {
            socket.agree(&mut response);
        }
        response.map(|body| {
            let shared = SharedAnswer::new(body, shared);
            Given::Body(AnswerBody::Http2(Box::new(shared)))
        })
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
fn is_refused(error: &hyper::Error) -> bool {
    http2_error(error).is_some_and(|error| {
        error.reason() == Some(h2::Reason::REFUSED_STREAM)
            || (error.is_go_away()
                && error.is_remote()
                && error.reason() == Some(h2::Reason::NO_ERROR))
    })
}

fn http2_error(error: &hyper::Error) -> Option<&h2::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

fn lost_or_failed(error: &hyper::Error) -> Sent {
    let is_broken = http2_error(error).is_some_and(|error| error.is_library());
    if error.is_parse() || is_broken {
        Sent::Failed(Fault::NotHttp)
    } else if error.is_user() {
        Sent::Failed(Fault::BodyBroken)
    } else {
        Sent::Lost(Lost::Broken)
    }
}
