//! HTTP/1.1 with clients, our own: one connection, a request at a time on it.
//!
//! Owns: what is read of a client and written to it, strictly by RFC 9112. Must not know: where a request goes, and what is
//! answered.
//!
//! A connection that waits for its next request holds no buffer. Most requests are one read, and most answers one write.

mod answer_head;
mod request_head;
mod sending;
mod stream;
mod upload;
mod waiting;
mod wire;

pub(crate) use stream::ClientStream;
pub(crate) use upload::Upload;
pub(crate) use wire::Switched;

use crate::access_log::Logged;
use crate::client::Client;
use crate::deadline::within;
use crate::forward;
use crate::interim::Interims;
use crate::line::Line;
use crate::received::Received;
use crate::taken::Taken;
use answer_head::{Asked, Known};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use request_head::RequestHead;
use sending::Sending;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::mem::take;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use tokio::io::AsyncWrite as _;
use waiting::{Next, Waiting};
use wire::{BodyState, Wire};

/// Maps of fields that are kept for other requests, and how many fields they have room for at most.
const KEPT_MAPS: usize = 64;
const KEPT_FIELDS: usize = 64;

thread_local! {
    static MAPS: RefCell<Vec<HeaderMap>> = const { RefCell::new(Vec::new()) };
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It is closed, or has become a tunnel.
    Over,
    /// Its client speaks HTTP/2. This was read already.
    Http2(Taken<ClientStream>, Bytes),
}

/// Serves a connection to its end. Only as its first bytes, the preface of HTTP/2 is one, and if that `may_be_http2`.
pub(crate) async fn serve(
    client: &Rc<Client>,
    stream: Taken<ClientStream>,
    may_be_http2: bool,
) -> io::Result<Ended> {
    let interims = Interims::new();
    let patience = client.worker.settings.half_closed_timeout;
    let line = Line::new(stream, interims.clone(), patience);
    let mut connection = Connection {
        client,
        wire: Rc::new(Wire::new(line)),
        interims,
    };
    let mut waiting = Waiting::new(may_be_http2);
    poll_fn(|cx| {
        client.open.wake_on_stop(cx.waker());
        Poll::Ready(())
    })
    .await;
    loop {
        let next = poll_fn(|cx| waiting.poll(cx, client, &connection.wire)).await?;
        let (head, fields) = match next {
            Next::Request(head, fields) => (head, fields),
            Next::Http2 => return Ok(connection.into_http2()),
            Next::Refused(refusal) => {
                connection.refuse(refusal.status()).await?;
                return Ok(Ended::Over);
            }
            Next::TooLate => {
                let unrouted = &client.worker.ledger.unrouted;
                unrouted.answered(StatusCode::REQUEST_TIMEOUT);
                // Who cannot be told at once is not waited for.
                let _ = connection
                    .refuse(StatusCode::REQUEST_TIMEOUT)
                    .now_or_never();
                return Ok(Ended::Over);
            }
            Next::Over => {
                connection.close().await;
                return Ok(Ended::Over);
            }
        };
        if !connection.serve_one(head, fields).await? {
            return Ok(Ended::Over);
        }
    }
}

struct Connection<'a> {
    client: &'a Rc<Client>,
    wire: Rc<Wire>,
    interims: Interims,
}

impl Connection<'_> {
    /// Answers a request; answers whether another may follow.
    async fn serve_one(&mut self, head: RequestHead, fields: HeaderMap) -> io::Result<bool> {
        let interims = self.interims.of(head.version);
        let mut asked = Asked {
            version: head.version,
            is_head: head.method == Method::HEAD,
            may_be_kept: head.may_be_kept,
        };
        let takes_trailers = head.takes_trailers;
        self.wire.forget_switch();
        let response = {
            let request = self.request(head, fields);
            let mut answer = pin!(forward::answer(self.client, request, interims));
            let wire = &self.wire;
            poll_fn(|cx| match answer.as_mut().poll(cx) {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
                Poll::Ready(Err(never)) => match never {},
                Poll::Pending => match wire.with_line(|line| line.poll_flush(cx)) {
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
                },
            })
            .await?
        };
        // A thread that stops wants it to be the last one; and what comes behind a body that nobody has read is none.
        asked.may_be_kept &= !self.client.open.is_leaving() && self.wire.body() != BodyState::Left;
        let is_switch = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let (mut sending, is_kept) = self.begin(response, asked, takes_trailers);
        poll_fn(|cx| sending.poll(cx, &self.wire)).await?;
        drop(sending);
        if is_switch {
            self.wire.give_away();
            return Ok(false);
        }
        // Whoever reads the body of a request that has been answered already reads it to its end.
        let body = self.rest_of_body().await;
        if is_kept && body == BodyState::Over {
            return Ok(true);
        }
        self.close().await;
        Ok(false)
    }

    /// Waits until nobody reads the body of the request any more. A client that brings nothing of it for a while is not waited
    /// for: it has its answer, and would keep the upstream.
    async fn rest_of_body(&self) -> BodyState {
        let limit = self.client.worker.settings.upload_grace;
        loop {
            let before = self.wire.reads();
            if self.wire.body() != BodyState::Open {
                return self.wire.body();
            }
            let ended = poll_fn(|cx| self.wire.poll_body(cx));
            match within(limit, ended).await {
                Some(body) => return body,
                None if self.wire.reads() == before => return BodyState::Left,
                None => {}
            }
        }
    }

    fn request(&self, head: RequestHead, fields: HeaderMap) -> Request<Received> {
        let held_back = head.is_held_back.then(|| self.interims.clone());
        let upload = Upload::new(&self.wire, head.length, held_back);
        let mut request = Request::new(Received::Http1(upload));
        *request.method_mut() = head.method;
        *request.uri_mut() = head.target;
        *request.version_mut() = head.version;
        *request.headers_mut() = fields;
        request
    }

    /// An answer that is about to be sent, and whether another request may follow.
    fn begin(
        &self,
        mut response: Response<Logged>,
        asked: Asked,
        takes_trailers: bool,
    ) -> (Sending, bool) {
        let body = response.body();
        let known = match (body.is_end_stream(), body.size_hint().exact()) {
            (true, _) => Known::None,
            (false, Some(bytes)) => Known::Bytes(bytes),
            (false, None) => Known::Unknown,
        };
        let lines = response.body_mut().take_lines();
        let mut head = sending::head();
        let stamps = &self.client.worker.stamps;
        let (framing, is_kept) = {
            let answer = (&response, lines.as_ref());
            answer_head::write(answer, known, asked, stamps, &mut head)
        };
        let announced = match takes_trailers && framing == answer_head::Framing::Chunked {
            true => answer_head::announced(response.headers()),
            false => Vec::new(),
        };
        let (parts, body) = response.into_parts();
        give_back(parts.headers);
        (Sending::new(head, body, framing, announced), is_kept)
    }

    /// Says why nothing more is read, and closes.
    async fn refuse(&self, status: StatusCode) -> io::Result<()> {
        let asked = Asked {
            version: Version::HTTP_11,
            is_head: false,
            may_be_kept: false,
        };
        let mut response = Response::new(());
        *response.status_mut() = status;
        let mut answer = Vec::new();
        let stamps = &self.client.worker.stamps;
        answer_head::write((&response, None), Known::None, asked, stamps, &mut answer);
        let mut rest = &*answer;
        while !rest.is_empty() {
            let written =
                poll_fn(|cx| self.wire.with_line(|line| line.poll_write(cx, rest))).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = rest.get(written..).unwrap_or_default();
        }
        self.close().await;
        Ok(())
    }

    /// Ends our side; the rest is done as it is dropped, and if nothing is left unread that does all of it.
    async fn close(&self) {
        if self.wire.ends_as_it_is_dropped() {
            return;
        }
        let _ = poll_fn(|cx| self.wire.with_line(|line| line.poll_shutdown(cx))).await;
    }

    fn into_http2(self) -> Ended {
        let come = take(&mut *self.wire.come());
        match self.wire.end() {
            Some(line) => {
                let (stream, _) = line.into_parts();
                Ended::Http2(stream, come)
            }
            None => Ended::Over,
        }
    }
}

impl Drop for Connection<'_> {
    /// Whoever reads the body of a request still, is cut off.
    fn drop(&mut self) {
        self.wire.end();
    }
}

/// A map without fields.
fn empty_map() -> HeaderMap {
    MAPS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

fn give_back(mut fields: HeaderMap) {
    if fields.capacity() > KEPT_FIELDS {
        return;
    }
    fields.clear();
    MAPS.with_borrow_mut(|maps| {
        if maps.len() < KEPT_MAPS {
            maps.push(fields);
        }
    });
}
