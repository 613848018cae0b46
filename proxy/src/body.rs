//! Bodies on their way through: streamed frame by frame, counted, never collected.

use crate::fault::Fault;
use crate::gate::InFlight;
use crate::pace::Pace;
use crate::packing::{Coding, Packed};
use crate::pool::InUse;
use crate::received::Received;
use crate::routes::LocalService;
use crate::settings::ProxySettings;
use crate::shared_stream::SharedAnswer;
use crate::silence::Silence;
use crate::taken::Blocked;
use crate::upstream::{Malformed, Reading};
use bytes::Bytes;
use http::Request;
use http::header::EXPECT;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use std::cell::{Cell, RefCell};
use std::io;
use std::mem::take;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::spawn_local;
use tokio::time::timeout;

/// How much of an unwanted body is read, and for how long.
const DISCARD_BYTES: usize = 16 * 1024 * 1024;
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// Why a body was not passed on to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// An answer's, whose upstream broke off.
    #[error("the upstream broke off")]
    Cut(#[from] io::Error),
    /// In chunks that are none.
    #[error("what came is no body")]
    Malformed(#[from] Malformed),
    /// A request's, whose client has gone.
    #[error("the client broke off")]
    Left(#[source] io::Error),
    /// One over HTTP/2, whose sender reset its stream or has gone.
    #[error("the stream of the body broke off")]
    Reset(#[from] h2::Error),
    /// A request's, larger than its service takes.
    #[error("the body is larger than the service takes")]
    TooLarge,
    /// A request's, that came more slowly than its service takes.
    #[error("the body came too slowly")]
    TooSlow,
    /// An answer's, after which nothing came for as long as its service may be silent.
    #[error("the upstream fell silent within its answer")]
    Silent,
    /// An answer's, which a coder did not take.
    #[error("the answer could not be compressed")]
    Packing(#[source] io::Error),
}

/// Reads the body of a request that is not forwarded: see [`discard`]. One that waits to be asked for its body is not asked.
pub(crate) fn discard_all(request: Request<Received>) {
    if !request.headers().contains_key(EXPECT) {
        discard(request.into_body());
    }
}

/// Reads what is left of a request's body that nobody wants, for a while: a client that only sends would not see its
/// answer if the connection were closed before.
pub(crate) fn discard(mut body: impl Body<Data = Bytes> + Unpin + 'static) {
    if body.is_end_stream() {
        return;
    }
    spawn_local(timeout(DISCARD_TIME, async move {
        let mut left = DISCARD_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    }));
}

/// Largest body that is kept until its upstream has begun to answer, in case it refuses the request unread.
const MAX_KEPT_BYTES: usize = 64 * 1024;

/// How far the body of a request has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Frames passed on.
    pub(crate) frames: Cell<u64>,
    /// Bytes passed on.
    pub(crate) bytes: Cell<u64>,
    /// The client has sent less than the upstream is ready to take.
    pub(crate) waits_for_client: Cell<bool>,
    /// The upstream has begun to answer: from now on, it is between the two how fast it comes.
    pub(crate) is_answered: Cell<bool>,
    /// Why it went no further, if that was not the upstream's doing.
    pub(crate) failed: Cell<Option<Fault>>,
    kept: RefCell<Kept>,
}

/// What was passed on of a body that may be wanted again: over HTTP/2 an upstream can say that it has not
/// looked at a request, and its body has been sent by then.
#[derive(Debug, Default)]
struct Kept {
    is_wanted: bool,
    is_whole: bool,
    frames: Vec<Bytes>,
    bytes: usize,
}

impl Kept {
    fn keep(&mut self, frame: &Frame<Bytes>) {
        let Some(data) = frame.data_ref().filter(|_| self.is_wanted) else {
            // Trailers are rare enough not to be sent twice.
            *self = Kept::default();
            return;
        };
        self.bytes += data.len();
        if self.bytes > MAX_KEPT_BYTES {
            *self = Kept::default();
        } else {
            self.frames.push(data.clone());
        }
    }
}

impl Progress {
    /// The body once more, if all of it has been passed on and little enough to be kept.
    pub(crate) fn again(&self) -> Option<RequestBody> {
        let kept = self.kept.borrow();
        (kept.is_wanted && kept.is_whole).then(|| RequestBody::Again {
            bytes: kept.bytes as u64,
            frames: kept.frames.clone().into_iter(),
        })
    }
}

/// A request's body on its way to an upstream.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// There is none.
    None,
    /// From the client.
    Upload(Upload),
    /// Passed on before, to an upstream that refused the request.
    Again {
        frames: std::vec::IntoIter<Bytes>,
        bytes: u64,
    },
}

#[derive(Debug)]
pub(crate) struct Upload {
    received: Received,
    service: Rc<LocalService>,
    progress: Rc<Progress>,
    /// How slowly it may come, until the answer begins.
    pace: Option<Box<Pace>>,
    /// Bytes that may still come.
    left: u64,
}

impl RequestBody {
    pub(crate) fn new(
        received: Received,
        service: &Rc<LocalService>,
        settings: &ProxySettings,
        is_http2: bool,
    ) -> RequestBody {
        if received.is_end_stream() {
            return RequestBody::None;
        }
        // To an upstream that speaks HTTP/2 a slow body is one stream among many, and may be meant to be silent at times.
        let rate = service.service.policy.min_upload_rate;
        let pace = rate.filter(|_| !is_http2);
        let pace = pace.map(|rate| Box::new(Pace::new(rate, settings.upload_grace)));
        let progress = Progress::default();
        progress.kept.borrow_mut().is_wanted = is_http2;
        RequestBody::Upload(Upload {
            received,
            service: Rc::clone(service),
            progress: Rc::new(progress),
            pace,
            left: service
                .gate
                .as_ref()
                .map_or(u64::MAX, |gate| gate.body_limit()),
        })
    }

    /// `None` for a request that has no body.
    pub(crate) fn progress(&self) -> Option<Rc<Progress>> {
        match self {
            RequestBody::Upload(upload) => Some(Rc::clone(&upload.progress)),
            RequestBody::None | RequestBody::Again { .. } => None,
        }
    }
}

impl Upload {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.received).poll_frame(cx);
        let progress = &self.progress;
        progress.waits_for_client.set(frame.is_pending());
        if progress.is_answered.get() {
            self.pace = None;
        }
        let mut kept = progress.kept.borrow_mut();
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                progress.frames.set(progress.frames.get() + 1);
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                progress.bytes.set(progress.bytes.get() + bytes as u64);
                self.service.tally.received(bytes);
                let Some(left) = self.left.checked_sub(bytes as u64) else {
                    progress.failed.set(Some(Fault::BodyTooLarge));
                    return Poll::Ready(Some(Err(BodyError::TooLarge)));
                };
                self.left = left;
                if let Some(pace) = &mut self.pace {
                    pace.received(bytes);
                }
                if kept.is_wanted {
                    kept.keep(frame);
                    kept.is_whole = self.received.is_end_stream();
                }
            }
            Poll::Ready(Some(Err(_))) => progress.failed.set(Some(Fault::BodyBroken)),
            Poll::Ready(None) => {
                // The end counts as progress: the time an upstream may be silent begins here.
                progress.frames.set(progress.frames.get() + 1);
                kept.is_whole = true;
            }
            Poll::Pending => {
                let too_slow = self.pace.as_mut().map(|pace| pace.poll_too_slow(cx));
                if too_slow == Some(Poll::Ready(())) {
                    progress.failed.set(Some(Fault::BodyTooSlow));
                    return Poll::Ready(Some(Err(BodyError::TooSlow)));
                }
            }
        }
        frame
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            RequestBody::None => Poll::Ready(None),
            RequestBody::Upload(upload) => upload.poll_frame(cx),
            RequestBody::Again { frames, bytes } => {
                let frame = frames.next();
                *bytes -= frame.as_ref().map_or(0, Bytes::len) as u64;
                Poll::Ready(frame.map(|data| Ok(Frame::data(data))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::None => true,
            RequestBody::Upload(upload) => upload.received.is_end_stream(),
            RequestBody::Again { frames, .. } => frames.as_slice().is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::None => SizeHint::with_exact(0),
            RequestBody::Upload(upload) => upload.received.size_hint(),
            RequestBody::Again { bytes, .. } => SizeHint::with_exact(*bytes),
        }
    }
}

/// An answer's body as its upstream gives it.
#[derive(Debug)]
pub(crate) enum AnswerBody {
    /// All there is of it; the upstream has no more part in it.
    Whole(Bytes),
    Http1(Box<Reading>),
    Http2(Box<SharedAnswer>),
}

impl AnswerBody {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            AnswerBody::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            AnswerBody::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(take(bytes))))),
            AnswerBody::Http1(reading) => reading.poll_frame(cx),
            AnswerBody::Http2(shared) => shared.poll_frame(cx),
        }
    }

    fn is_at_end(&self) -> bool {
        match self {
            AnswerBody::Whole(bytes) => bytes.is_empty(),
            AnswerBody::Http1(reading) => reading.is_at_end(),
            AnswerBody::Http2(shared) => shared.is_at_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            AnswerBody::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            AnswerBody::Http1(reading) => reading.size_hint(),
            AnswerBody::Http2(shared) => shared.size_hint(),
        }
    }

    /// It has been taken to its end: what it came over can be used again.
    fn finish(&mut self, in_use: &InUse) {
        match self {
            AnswerBody::Whole(_) => {}
            AnswerBody::Http1(reading) => {
                if let Some(held) = reading.take_held() {
                    in_use.keep(held);
                }
            }
            AnswerBody::Http2(shared) => shared.give_up_place(),
        }
    }
}

/// An answer's body on its way to a client.
#[derive(Debug)]
pub(crate) enum ResponseBody {
    /// From an upstream.
    Upstream {
        body: AnswerBody,
        /// Ends with the body, whose connection is kept then; it is closed if the body is dropped before: the rest of an answer
        /// nobody reads must not be taken for the next one.
        in_use: Option<InUse>,
        service: Rc<LocalService>,
        silence: Option<Box<Silence>>,
        in_flight: Option<InFlight>,
        /// The client's connection, if all of that waits for this body: none is taken from the upstream as long as the
        /// client does not take what there is.
        is_blocked: Option<Blocked>,
    },
    /// From an upstream, packed on its way.
    Packed(Box<Packed>),
    /// One of our own pages.
    Page(Option<Bytes>),
}

impl ResponseBody {
    pub(crate) fn upstream(
        mut body: AnswerBody,
        in_use: InUse,
        service: Rc<LocalService>,
        in_flight: Option<InFlight>,
    ) -> ResponseBody {
        let mut in_use = Some(in_use);
        if matches!(body, AnswerBody::Whole(_)) {
            in_use = None;
        }
        finish_at_end(&mut body, &mut in_use);
        // Nothing that is there already is waited for.
        let silence = in_use
            .as_ref()
            .and(service.service.policy.idle_timeout)
            .map(|limit| Box::new(Silence::new(limit)));
        ResponseBody::Upstream {
            body,
            in_use,
            service,
            silence,
            in_flight,
            is_blocked: None,
        }
    }

    /// The same over HTTP/1, where whoever writes it asks for more each time the client has taken something.
    pub(crate) fn for_line(mut self, client: &Blocked) -> ResponseBody {
        if let ResponseBody::Upstream {
            in_use: Some(_),
            is_blocked,
            ..
        } = &mut self
        {
            *is_blocked = Some(client.clone());
        }
        self
    }
}

impl ResponseBody {
    /// The same, packed on its way. `bytes` is its length, if that is known.
    pub(crate) fn packed(self, coding: Coding, bytes: Option<u64>) -> io::Result<ResponseBody> {
        let packed = Packed::new(self, coding, bytes)?;
        Ok(ResponseBody::Packed(Box::new(packed)))
    }
}

fn finish_at_end(body: &mut AnswerBody, in_use: &mut Option<InUse>) {
    if body.is_at_end()
        && let Some(in_use) = in_use.take()
    {
        body.finish(&in_use);
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            ResponseBody::Packed(packed) => packed.poll_frame(cx),
            ResponseBody::Page(bytes) => {
                Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))))
            }
            ResponseBody::Upstream {
                body,
                in_use,
                service,
                silence,
                in_flight,
                is_blocked,
            } => {
                if is_blocked.as_ref().is_some_and(Blocked::get) {
                    return Poll::Pending;
                }
                let Poll::Ready(frame) = body.poll_frame(cx) else {
                    let too_long = silence.as_mut().map(|silence| silence.poll_too_long(cx));
                    if too_long == Some(Poll::Ready(())) {
                        *body = AnswerBody::Whole(Bytes::new());
                        *in_use = None;
                        return Poll::Ready(Some(Err(BodyError::Silent)));
                    }
                    return Poll::Pending;
                };
                if let Some(silence) = silence {
                    silence.broken();
                }
                match &frame {
                    Some(Ok(frame)) => {
                        service.tally.sent(frame.data_ref().map_or(0, Bytes::len));
                        finish_at_end(body, in_use);
                    }
                    Some(Err(_)) => *in_use = None,
                    None => {
                        *in_flight = None;
                        if let Some(in_use) = in_use.take() {
                            body.finish(&in_use);
                        }
                    }
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ResponseBody::Upstream { body, .. } => body.is_at_end(),
            ResponseBody::Packed(packed) => packed.is_at_end(),
            ResponseBody::Page(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ResponseBody::Upstream { body, .. } => body.size_hint(),
            ResponseBody::Packed(_) => SizeHint::default(),
            ResponseBody::Page(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
        }
    }
}
