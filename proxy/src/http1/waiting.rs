//! A connection that waits for its next request.

use super::request_head::{Refusal, RequestHead, parse};
use super::wire::Wire;
use super::{empty_map, give_back};
use crate::client::Client;
use crate::deadline::Deadline;
use crate::drain::LAST_CALL;
use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use std::io;
use std::task::{Context, Poll};

/// How a client begins that speaks HTTP/2 (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Fields that may be added to those of a request.
const MORE_FIELDS: usize = 2;

/// What comes next on a connection.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly always it is a request, and taken apart at once"
)]
pub(super) enum Next {
    Request(RequestHead, HeaderMap),
    Http2,
    Refused(Refusal),
    /// A request has begun, and its head has not come in time.
    TooLate,
    /// Nothing: the client has ended, or is not waited for any longer.
    Over,
}

/// How long has been waited, and for what.
#[derive(Debug)]
pub(super) struct Waiting {
    deadline: Option<Deadline>,
    is_timed: bool,
    /// All that has come was looked at.
    is_seen: bool,
    /// So many bytes were no whole head.
    part: usize,
    /// The first bytes may be the preface of HTTP/2.
    may_be_http2: bool,
    is_first: bool,
    /// Its thread stops, and it still has the one request it came for.
    is_last_call: bool,
}

impl Waiting {
    pub(super) fn new(may_be_http2: bool) -> Waiting {
        Waiting {
            deadline: None,
            is_timed: false,
            is_seen: false,
            part: 0,
            may_be_http2,
            is_first: true,
            is_last_call: false,
        }
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &Client,
        wire: &Wire,
    ) -> Poll<io::Result<Next>> {
        loop {
            if let Some(next) = self.look(client, &mut wire.come()) {
                self.is_first = false;
                self.is_timed = false;
                self.is_seen = false;
                self.part = 0;
                return Poll::Ready(Ok(next));
            }
            match wire.poll_more(cx) {
                Poll::Ready(Ok(1..)) => self.is_seen = false,
                Poll::Ready(Ok(0)) => {
                    // What only begins like the preface is no request, either.
                    (self.may_be_http2, self.is_seen, self.part) = (false, false, 0);
                    let next = self.look(client, &mut wire.come());
                    return Poll::Ready(Ok(next.unwrap_or(Next::Over)));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            }
        }
        // Only now: a request that has arrived already is still answered.
        let has_begun = !wire.come().is_empty();
        if client.open.is_stopping() && !has_begun && !self.is_last_call {
            if !self.is_first {
                return Poll::Ready(Ok(Next::Over));
            }
            self.is_last_call = true;
            self.is_timed = true;
            self.deadline = Some(Deadline::after(LAST_CALL));
        }
        if self.poll_late(cx, client).is_ready() {
            // Who has not begun a request is closed without a word: what is said then may be taken for the answer to the
            // next.
            let next = match has_begun {
                true => Next::TooLate,
                false => Next::Over,
            };
            return Poll::Ready(Ok(next));
        }
        Poll::Pending
    }

    fn poll_late(&mut self, cx: &mut Context<'_>, client: &Client) -> Poll<()> {
        let limit = client.worker.settings.header_read_timeout;
        match &self.deadline {
            Some(deadline) if self.is_timed => return deadline.poll_over(cx),
            Some(deadline) => deadline.set_after(limit),
            None => {}
        }
        self.is_timed = true;
        let deadline = self.deadline.get_or_insert_with(|| Deadline::after(limit));
        deadline.poll_over(cx)
    }

    /// What the bytes are that have come; none if that cannot be said yet.
    fn look(&mut self, client: &Client, come: &mut Bytes) -> Option<Next> {
        if come.is_empty() || self.is_seen {
            return None;
        }
        self.is_seen = true;
        if self.is_first && self.may_be_http2 {
            if come.starts_with(PREFACE) {
                return Some(Next::Http2);
            }
            if PREFACE.starts_with(come) {
                return None;
            }
        }
        let max_bytes = client.worker.settings.max_header_bytes;
        // Without the end of another line it is no more of a head than before: one that drips in is not read for each byte.
        let more = come.get(self.part..).unwrap_or_default();
        if self.part > 0 && come.len() < max_bytes && memchr::memchr(b'\n', more).is_none() {
            self.part = come.len();
            return None;
        }
        let mut fields = empty_map();
        match parse(come, max_bytes, MORE_FIELDS, &mut fields) {
            Ok(Some(head)) => {
                come.advance(head.bytes);
                Some(Next::Request(head, fields))
            }
            Ok(None) => {
                give_back(fields);
                skip_empty_lines(come);
                self.part = come.len();
                None
            }
            Err(refusal) => {
                skip_empty_lines(come);
                // Behind something else it is no preface, and no request either.
                match come.starts_with(PREFACE) {
                    true => Some(Next::Over),
                    false => Some(Next::Refused(refusal)),
                }
            }
        }
    }
}

/// RFC 9112 section 2.2: there may be some before a request.
fn skip_empty_lines(come: &mut Bytes) {
    while come.starts_with(b"\r\n") {
        come.advance(2);
    }
}
