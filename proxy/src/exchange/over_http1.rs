//! A request over a connection of HTTP/1.1, which is its own meanwhile.

use super::{Exchange, Given, Lost, Sent, shape};
use crate::body::AnswerBody;
use crate::fault::Fault;
use crate::interim::Interims;
use crate::upstream::{Answered, Call, Connection, Failure};
use http::Response;
use std::future::poll_fn;
use std::mem::take;
use std::task::Poll;

impl Exchange {
    /// The request stays where it is: nothing of it is copied for the case that it has to be sent again.
    pub(super) async fn send_over_http1(
        &mut self,
        connection: Connection,
        interims: &Interims,
    ) -> Sent {
        let Some(request) = &mut self.request else {
            return Sent::Lost(Lost::Broken);
        };
        let (added, takes) = (self.added.as_ref(), self.takes_lines);
        if let Err(fault) = shape(request, false, &self.host) {
            return Sent::Failed(fault);
        }
        let begun = poll_fn(|cx| {
            let connection = connection.clone();
            Poll::Ready(Call::begin(cx, connection, request, added, takes))
        });
        let mut call = match begun.await {
            Ok(call) => call,
            Err(failure) => return self.failed(failure),
        };
        drop(connection);
        // The map is used for the fields of the answer, once that is there and these are of no more use.
        let fields = self.request.as_mut().map(|sent| take(sent.headers_mut()));
        let mut fields = fields.unwrap_or_default();
        let answered = self.in_time(|cx| call.poll(cx, &mut fields, interims));
        match answered.await {
            Ok(Ok(answered)) => {
                self.answer_has_begun();
                self.lines = call.take_lines();
                Sent::Answered(self.given(answered))
            }
            Ok(Err(failure)) => {
                if let Some(request) = &mut self.request {
                    *request.headers_mut() = fields;
                }
                self.failed(failure)
            }
            Err(fault) => Sent::Failed(fault),
        }
    }

    fn failed(&mut self, failure: Failure) -> Sent {
        if let Some(fault) = self.body_fault() {
            return Sent::Failed(fault);
        }
        match failure {
            Failure::Unsent => Sent::Lost(Lost::Unsent),
            Failure::Broken { had_begun } => {
                if had_begun || !self.is_repeatable {
                    self.request = None;
                }
                Sent::Lost(Lost::Broken)
            }
            // A server of HTTP/2 that got HTTP/1.1.
            Failure::Malformed if self.socket.is_some() => Sent::Failed(Fault::NoWebSockets),
            Failure::Malformed => Sent::Failed(Fault::NotHttp),
            Failure::BodyBroken => Sent::Failed(Fault::BodyBroken),
        }
    }

    /// The answer as it is passed on. The connection of one that is whole waits for the next request already.
    fn given(&self, answered: Answered) -> Response<Given> {
        match answered {
            Answered::Whole(response, held) => {
                if let (Some(held), Some(in_use)) = (held, &self.in_use) {
                    in_use.keep(held);
                }
                response.map(|body| Given::Body(AnswerBody::Whole(body)))
            }
            Answered::Begun(response) => {
                response.map(|reading| Given::Body(AnswerBody::Http1(reading)))
            }
            Answered::Switched(response, connection, ahead) => {
                response.map(|()| Given::Connection(connection, ahead))
            }
        }
    }
}
