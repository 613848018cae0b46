//! Bodies on their way through: streamed frame by frame, counted, never collected.

use crate::gate::Gate;
use crate::pool::Lease;
use crate::routes::LocalService;
use crate::silence::Silence;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Why a body was not passed on to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// Its sender broke off, or sent what is no body.
    #[error("the body broke off")]
    Broken(#[from] hyper::Error),
    /// A request's, larger than its service takes.
    #[error("the body is larger than the service takes")]
    TooLarge,
    /// An answer's, after which nothing came for as long as its service may be silent.
    #[error("the upstream fell silent within its answer")]
    Silent,
}

/// How far the body of a request has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Frames passed on.
    pub(crate) frames: Cell<u64>,
    /// Bytes passed on.
    pub(crate) bytes: Cell<u64>,
    /// The client has sent less than the upstream is ready to take.
    pub(crate) waits_for_client: Cell<bool>,
}

/// A request's body on its way to an upstream.
#[derive(Debug)]
pub(crate) struct RequestBody(Option<Upload>);

#[derive(Debug)]
struct Upload {
    incoming: Incoming,
    service: Rc<LocalService>,
    progress: Rc<Progress>,
    /// Bytes that may still come.
    left: u64,
}

impl RequestBody {
    /// The body of a request that has none.
    pub(crate) fn none() -> RequestBody {
        RequestBody(None)
    }

    pub(crate) fn new(incoming: Incoming, service: &Rc<LocalService>) -> RequestBody {
        RequestBody((!incoming.is_end_stream()).then(|| Upload {
            incoming,
            service: Rc::clone(service),
            progress: Rc::default(),
            left: service.gate.as_ref().map_or(u64::MAX, Gate::body_limit),
        }))
    }

    /// `None` for a request that has no body.
    pub(crate) fn progress(&self) -> Option<Rc<Progress>> {
        self.0.as_ref().map(|upload| Rc::clone(&upload.progress))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(upload) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(&mut upload.incoming).poll_frame(cx);
        let progress = &upload.progress;
        progress.waits_for_client.set(frame.is_pending());
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            progress.frames.set(progress.frames.get() + 1);
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            progress.bytes.set(progress.bytes.get() + bytes as u64);
            upload.service.tally.received(bytes);
            let Some(left) = upload.left.checked_sub(bytes as u64) else {
                return Poll::Ready(Some(Err(BodyError::TooLarge)));
            };
            upload.left = left;
        } else if let Poll::Ready(None) = &frame {
            // The end counts as progress: the time an upstream may be silent begins here.
            progress.frames.set(progress.frames.get() + 1);
        }
        frame.map_err(BodyError::from)
    }

    fn is_end_stream(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|upload| upload.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Some(upload) => upload.incoming.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

/// An answer's body on its way to a client.
#[derive(Debug)]
pub(crate) enum ResponseBody {
    /// From an upstream. The lease ends with the body: its connection is kept then, and closed if the body
    /// is dropped before.
    Upstream {
        incoming: Incoming,
        lease: Option<Lease>,
        service: Rc<LocalService>,
        silence: Option<Box<Silence>>,
    },
    /// One of our own pages.
    Page(Option<Bytes>),
}

impl ResponseBody {
    pub(crate) fn upstream(
        incoming: Incoming,
        lease: Lease,
        service: Rc<LocalService>,
    ) -> ResponseBody {
        let mut lease = Some(lease);
        finish_at_end(&incoming, &mut lease);
        let silence = service.service.policy.idle_timeout;
        let silence = silence.map(|limit| Box::new(Silence::new(limit)));
        ResponseBody::Upstream {
            incoming,
            lease,
            service,
            silence,
        }
    }
}

fn finish_at_end(incoming: &Incoming, lease: &mut Option<Lease>) {
    if incoming.is_end_stream()
        && let Some(lease) = lease.take()
    {
        lease.finish();
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
            ResponseBody::Page(bytes) => {
                Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))))
            }
            ResponseBody::Upstream {
                incoming,
                lease,
                service,
                silence,
            } => {
                let Poll::Ready(frame) = Pin::new(&mut *incoming).poll_frame(cx) else {
                    let too_long = silence.as_mut().map(|silence| silence.poll_too_long(cx));
                    if too_long == Some(Poll::Ready(())) {
                        *lease = None;
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
                        finish_at_end(incoming, lease);
                    }
                    Some(Err(_)) => *lease = None,
                    None => {
                        if let Some(lease) = lease.take() {
                            lease.finish();
                        }
                    }
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ResponseBody::Upstream { incoming, .. } => incoming.is_end_stream(),
            ResponseBody::Page(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ResponseBody::Upstream { incoming, .. } => incoming.size_hint(),
            ResponseBody::Page(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
        }
    }
}
