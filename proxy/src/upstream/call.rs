//! One request on one connection, from the first byte written to the head of its answer.

use super::Malformed;
use super::answer_head::{self, AnswerHead};
use super::answer_lines::{Lines, Takes};
use super::connection::{Connection, Held};
use super::reading::{Begun, Reading};
use super::request_head;
use super::sending::{Sending, Stuck, Uploading, framing};
use crate::body::{RequestBody, discard};
use crate::headers::Added;
use crate::interim::Interims;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use std::cell::RefCell;
use std::mem::take;
use std::task::{Context, Poll, ready};

/// Longest head for which room is kept.
const KEPT_HEAD_BYTES: usize = 16 * 1024;

thread_local! {
    /// Where heads are written before they are sent: one after the other, as nearly all go out at once.
    static HEAD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A request that was begun. Dropped, its connection is closed.
#[derive(Debug)]
pub(crate) struct Call {
    connection: Connection,
    /// What of it is still to be sent.
    sending: Option<Box<Sending>>,
    /// The upstream takes no more of it,
    is_cut: bool,
    /// and this it has not taken.
    unwanted: Option<Box<Sending>>,
    /// The beginning of a head whose end has not come.
    heard: BytesMut,
    /// Something of an answer has come, be it an interim one.
    has_heard: bool,
    is_head: bool,
    takes: Option<Takes>,
    /// The fields of the answer, if they are not in its map.
    lines: Option<Lines>,
}

/// What was answered.
#[derive(Debug)]
pub(crate) enum Answered {
    /// With its whole body; and the connection, if it may be used again.
    Whole(Response<Bytes>, Option<Held>),
    Begun(Response<Box<Reading>>),
    /// The connection speaks another protocol from here on, and so do the bytes that came already.
    Switched(Response<()>, Connection, Bytes),
}

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// Nothing of the request was written, and nothing taken from its body.
    Unsent,
    /// The connection ended, before anything came of an answer or after that.
    Broken { had_begun: bool },
    /// What came is no answer.
    Malformed,
    /// The body of the request broke off.
    BodyBroken,
}

impl Call {
    /// Writes the head of a request and what is added to it, if that goes at once, and takes its body. Of a request without one, which is left as it
    /// is, nothing is kept. `takes` says that its answer's fields may be lines.
    pub(crate) fn begin(
        cx: &mut Context<'_>,
        connection: Connection,
        request: &mut Request<RequestBody>,
        added: Option<&Added>,
        takes: Option<Takes>,
    ) -> Result<Call, Failure> {
        let framing = framing(request.body());
        let sending = HEAD.with_borrow_mut(|head| {
            head.clear();
            head.shrink_to(KEPT_HEAD_BYTES);
            request_head::write(request, added, framing, head);
            let mut unsent = &**head;
            if let RequestBody::None = request.body() {
                match connection.poll_write(cx, head) {
                    Poll::Ready(Ok(written)) if written == head.len() => return Ok(None),
                    Poll::Ready(Ok(written)) => unsent = head.get(written..).unwrap_or_default(),
                    Poll::Ready(Err(_)) => return Err(Failure::Unsent),
                    Poll::Pending => {}
                }
            }
            let body = std::mem::replace(request.body_mut(), RequestBody::None);
            let sending = Sending::new(unsent, body, framing, request.headers());
            Ok(Some(Box::new(sending)))
        })?;
        Ok(Call {
            connection,
            sending,
            is_cut: false,
            unwanted: None,
            heard: BytesMut::new(),
            has_heard: false,
            is_head: request.method() == Method::HEAD,
            takes: takes.filter(|_| request.method() != Method::HEAD),
            lines: None,
        })
    }

    /// Sends and reads until the head of the answer is there; its fields go into `fields`, in place of what is there, which is
    /// left alone until something of an answer has come.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        fields: &mut HeaderMap,
        interims: &Interims,
    ) -> Poll<Result<Answered, Failure>> {
        if let Some(sending) = &mut self.sending {
            match sending.poll(cx, &self.connection) {
                Poll::Ready(Ok(())) => self.sending = None,
                Poll::Ready(Err(Stuck::BodyBroken)) => {
                    return Poll::Ready(Err(Failure::BodyBroken));
                }
                // What it has said before is read nevertheless.
                Poll::Ready(Err(Stuck::Closed)) => {
                    self.unwanted = self.sending.take();
                    self.is_cut = true;
                }
                Poll::Pending => {}
            }
        }
        loop {
            let more = match ready!(self.connection.poll_head(cx)) {
                Ok(more) if !more.is_empty() => more,
                Ok(_) | Err(_) => {
                    let had_begun = self.has_heard;
                    return Poll::Ready(Err(Failure::Broken { had_begun }));
                }
            };
            self.has_heard = true;
            match self.hear(more, fields, interims) {
                Ok(Some(answered)) => return Poll::Ready(Ok(answered)),
                Ok(None) => {}
                Err(Malformed) => return Poll::Ready(Err(Failure::Malformed)),
            }
        }
    }

    fn hear(
        &mut self,
        more: Bytes,
        fields: &mut HeaderMap,
        interims: &Interims,
    ) -> Result<Option<Answered>, Malformed> {
        let mut come = more;
        if !self.heard.is_empty() {
            // Read anew only when a line has come, or one that comes byte by byte would be for ever.
            let may_be_whole = come.contains(&b'\n');
            self.heard.extend_from_slice(&come);
            if !may_be_whole && self.heard.len() < answer_head::MAX_BYTES {
                return Ok(None);
            }
            come = take(&mut self.heard).freeze();
        }
        loop {
            let Some(head) = answer_head::parse(&come, self.is_head, self.takes, fields)? else {
                self.heard = come.into();
                return Ok(None);
            };
            let rest = come.split_off(head.bytes);
            if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
                return self.answered(head, take(fields), rest).map(Some);
            }
            interims.push(head.status, fields);
            come = rest;
            if come.is_empty() {
                return Ok(None);
            }
        }
    }

    /// The fields of what was answered, if its map does not have them.
    pub(crate) fn take_lines(&mut self) -> Option<Lines> {
        self.lines.take()
    }

    fn answered(
        &mut self,
        head: AnswerHead,
        fields: HeaderMap,
        rest: Bytes,
    ) -> Result<Answered, Malformed> {
        let mut response = Response::new(());
        *response.status_mut() = head.status;
        *response.headers_mut() = fields;
        self.lines = head.lines;
        if let Some(reason) = head.reason {
            response.extensions_mut().insert(reason);
        }
        let connection = self.connection.clone();
        let sending = self.sending.take();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            // Two protocols at once are none.
            if sending.is_some() || self.is_cut {
                return Err(Malformed);
            }
            return Ok(Answered::Switched(response, connection, rest));
        }
        if let Some(unwanted) = self.unwanted.take() {
            discard(unwanted.into_body());
        }
        let uploading = sending.map(|sending| Uploading::start(sending, connection.clone()));
        let held = Held {
            connection,
            uploading,
        };
        let may_be_kept = head.may_be_kept && !self.is_cut;
        Ok(
            match Reading::begin(held, head.length, may_be_kept, rest)? {
                Begun::Whole(body, held) => Answered::Whole(response.map(|()| body), held),
                Begun::Part(reading) => Answered::Begun(response.map(|()| reading)),
            },
        )
    }
}
