//! One stream: a request, the way it goes, and its answer.

use super::piece::Piece;
use super::sending::Sending;
use super::socket::{Agreed, Opening};
use super::stream_body::StreamBody;
use crate::access_log::Logged;
use crate::client::Client;
use crate::forward;
use crate::interim::Interims;
use crate::received::Received;
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::header::{CONTENT_LENGTH, DATE, EXPECT};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::task::yield_now;

/// A request's way to its answer, and the answer's into the stream. Dropped, it resets the stream.
///
/// All that needs no waiting happens before the future is made, which keeps it small.
pub(super) fn serve(
    client: &Rc<Client>,
    request: Request<RecvStream>,
    respond: SendResponse<Piece>,
) -> impl Future<Output = ()> + use<> {
    let (head, stream) = request.into_parts();
    let mut answering = Answering {
        client: Rc::clone(client),
        respond,
        is_head: head.method == Method::HEAD,
        agreed: None,
        interims: Interims::new(),
    };
    let body = if head.method == Method::CONNECT {
        let (opening, agreed) = Opening::of(stream);
        answering.agreed = Some(agreed);
        Received::Tunnel(Some(Box::new(opening)))
    } else {
        let is_held_back = head.headers.contains_key(EXPECT);
        let waiting = is_held_back.then(|| answering.interims.clone());
        Received::Http2(StreamBody::new(stream, &head.headers, waiting))
    };
    let request = Request::from_parts(head, body);
    // Both boxed: the runtime moves what becomes a task nine times from first to last, which was 4,500 instructions a request.
    let answer = Box::pin(forward::answer(client, request, answering.interims.clone()));
    Box::pin(async move {
        let Some(answer) = answering.wait(answer).await else {
            return;
        };
        answering.write(answer).await;
    })
}

/// Whether a request asks for a tunnel and says that it has a body. HTTP/1.1 would wait for that body, and take what comes
/// through the tunnel, or after it, for it.
pub(super) fn is_malformed(request: &Request<RecvStream>) -> bool {
    let lengths = request.headers().get_all(CONTENT_LENGTH);
    request.method() == Method::CONNECT && lengths.iter().any(|length| length != "0")
}

/// A stream whose request is on its way.
struct Answering {
    /// Also shows, as long as this lives, that the connection is in use.
    client: Rc<Client>,
    respond: SendResponse<Piece>,
    is_head: bool,
    /// Who waits for the stream, if the answer makes a tunnel of it.
    agreed: Option<Agreed>,
    interims: Interims,
}

impl Answering {
    /// The answer; none if the client does not want it any more.
    async fn wait<F>(&mut self, mut answer: Pin<Box<F>>) -> Option<Response<Logged>>
    where
        F: Future<Output = Result<Response<Logged>, Infallible>>,
    {
        poll_fn(|cx| {
            let answer = answer.as_mut().poll(cx);
            // Not into a stream that has been reset. What was said before the answer goes before it.
            if (answer.is_pending() || self.interims.has_any())
                && self.respond.poll_reset(cx).is_ready()
            {
                return Poll::Ready(None);
            }
            while let Some(interim) = self.interims.take() {
                if let Err(error) = self.respond.send_informational(interim) {
                    tracing::debug!(%error, "an interim answer could not be passed on");
                }
            }
            answer.map(Result::ok)
        })
        .await
    }

    async fn write(mut self, answer: Response<Logged>) {
        let (head, mut body) = answer.into_parts();
        let mut head = Response::from_parts(head, ());
        let headers = head.headers_mut();
        if !headers.contains_key(DATE) {
            headers.insert(DATE, self.client.worker.stamps.date());
        }
        if let Some(agreed) = self.agreed.take().filter(|_| head.status().is_success()) {
            head.headers_mut().remove(CONTENT_LENGTH);
            match self.respond.send_response(head, false) {
                Ok(stream) => agreed.tell(stream),
                Err(error) => self.fail(&error),
            }
            return;
        }
        let is_bodiless = self.is_head
            || matches!(
                head.status(),
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            );
        set_length(&mut head, &body);
        let first = begin(&mut body).await;
        let is_over = is_bodiless || (first.is_none() && body.is_end_stream());
        let stream = match self.respond.send_response(head, is_over) {
            Ok(stream) => stream,
            Err(error) => return self.fail(&error),
        };
        if is_over {
            return;
        }
        let patience = self.client.worker.settings.write_timeout;
        let mut sending = Sending::new(stream, Some(patience));
        let first = match body.is_end_stream() {
            true => sending.pass_on_whole(first),
            false => Err(first),
        };
        if let Err(first) = first {
            // Boxed: it would make the futures of all answers twice as large. Who has gone is missed by nobody; the record of
            // the request says so.
            let _ = Box::pin(sending.pass_on(first, body)).await;
        }
    }

    /// The answer cannot be told in HTTP/2, or the stream has ended meanwhile.
    fn fail(&mut self, error: &h2::Error) {
        tracing::debug!(%error, "an answer could not be written");
        self.respond.send_reset(Reason::INTERNAL_ERROR);
    }
}

/// Says how long a body is, if that is known and not said yet, and there may be one.
fn set_length(head: &mut Response<()>, body: &Logged) {
    if head.status() == StatusCode::NO_CONTENT {
        // RFC 9110 section 8.6: not even that it has none.
        head.headers_mut().remove(CONTENT_LENGTH);
        return;
    }
    let is_said = |headers: &HeaderMap| headers.contains_key(CONTENT_LENGTH);
    if !body.is_end_stream()
        && let Some(bytes) = body.size_hint().exact()
        && !is_said(head.headers())
    {
        head.headers_mut().insert(CONTENT_LENGTH, bytes.into());
    }
}

type Got = Option<Result<Frame<Bytes>, <Logged as Body>::Error>>;

/// The body's first frame, if it is as good as there. An answer goes out as soon as it is known; with its body a moment
/// later, it would take two records of TLS and two writes.
async fn begin(body: &mut Logged) -> Got {
    if body.is_end_stream() {
        return None;
    }
    // The first look asks the upstream's connection for it, which has one turn to bring it.
    let first = poll_fn(|cx| Poll::Ready(poll_now(body, cx))).await;
    if first.is_some() || body.is_end_stream() {
        return first;
    }
    yield_now().await;
    poll_fn(|cx| Poll::Ready(poll_now(body, cx))).await
}

fn poll_now(body: &mut Logged, cx: &mut Context<'_>) -> Got {
    match Pin::new(body).poll_frame(cx) {
        Poll::Ready(frame) => frame,
        Poll::Pending => None,
    }
}
