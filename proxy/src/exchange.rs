//! Getting one request answered by one of a service's upstreams: choose, connect, send, wait, try again.
//!
//! What is tried again, and only that: a connection that could not be made (another upstream), a request
//! hyper gives back unsent (any method: nothing of it was written), and a safe request without a body whose
//! kept connection was closed before any answer.
//!
//! Waking a sleeping upstream belongs where [`Exchange::choose`] finds none.

use crate::body::{Progress, RequestBody};
use crate::fault::Fault;
use crate::pool::{ConnectError, InUse, Lease, Sender, connect};
use crate::routes::LocalService;
use crate::table::{ServiceState, Upstream};
use crate::worker::Worker;
use http::{HeaderMap, Method, Request, Response, Uri};
use hyper::body::Incoming;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use tokio::task::yield_now;
use tokio::time::timeout;

/// What an upstream answered, and the connection it answers on.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    pub(crate) lease: Lease,
}

pub(crate) struct Exchange<'a> {
    worker: &'a Worker,
    host: &'a str,
    service: Rc<LocalService>,
    progress: Option<Rc<Progress>>,
    /// Upstreams that did not accept a connection.
    tried: Vec<Upstream>,
    last: Fault,
}

/// How a request fared on one connection.
enum Sent {
    Answered(Response<Incoming>),
    /// Given back: nothing of it was written.
    Unsent(Request<RequestBody>),
    /// Written, at least in part, and the connection closed without an answer.
    Lost,
    Failed(Fault),
}

/// A copy of a request that may be sent twice.
struct Copy {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Copy {
    fn of(request: &Request<RequestBody>) -> Copy {
        Copy {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
        }
    }

    fn into_request(self) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::none());
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        request
    }
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(
        worker: &'a Worker,
        host: &'a str,
        service: Rc<LocalService>,
    ) -> Exchange<'a> {
        Exchange {
            worker,
            host,
            service,
            progress: None,
            tried: Vec::new(),
            last: Fault::NoProcess,
        }
    }

    /// Sends the request until it is answered or there is nothing left to try.
    ///
    /// Cancelled, it closes the connection the request is on.
    pub(crate) async fn run(mut self, mut request: Request<RequestBody>) -> Result<Answer, Fault> {
        self.progress = request.body().progress();
        let safe = self.progress.is_none() && request.method().is_safe();
        let mut may_use_kept = true;
        loop {
            let in_use = self.choose()?;
            let kept = if may_use_kept {
                take_kept(&in_use, safe).await
            } else {
                None
            };
            let was_kept = kept.is_some();
            let sender = match kept {
                Some(sender) => Ok(sender),
                None => connect(&in_use, self.worker.settings.connect_timeout).await,
            };
            let mut sender = match sender {
                Ok(sender) => sender,
                Err(error) => {
                    self.failed(&in_use, fault_of(&error));
                    continue;
                }
            };
            let copy = (was_kept && safe).then(|| Copy::of(&request));
            match self.send(&mut sender, request).await {
                Sent::Answered(response) => {
                    let lease = Lease { sender, in_use };
                    return Ok(Answer { response, lease });
                }
                Sent::Failed(fault) => return Err(fault),
                Sent::Unsent(unsent) => {
                    request = unsent;
                    if !was_kept {
                        // It accepted the connection and closed it at once.
                        self.failed(&in_use, Fault::ClosedEarly);
                        continue;
                    }
                }
                Sent::Lost => request = copy.ok_or(Fault::ClosedEarly)?.into_request(),
            }
            // A kept connection had died. Others may have as well: make a new one.
            may_use_kept = false;
            self.again()?;
        }
    }

    /// Picks an upstream and counts it as in use. No await may come between routing and this.
    fn choose(&self) -> Result<InUse, Fault> {
        match self.service.service.state {
            ServiceState::NotDeployed => return Err(Fault::NotDeployed),
            ServiceState::Stopped => return Err(Fault::Stopped),
            ServiceState::Serving => {}
        }
        let random = &self.worker.stamps.random;
        self.service.pick(&self.tried, random).ok_or(self.last)
    }

    fn failed(&mut self, in_use: &InUse, fault: Fault) {
        tracing::debug!(upstream = %in_use.upstream().id, ?fault, "an upstream did not take a connection");
        self.tried.push(in_use.upstream().clone());
        self.last = fault;
        // If the host is gone meanwhile, the next choice answers with what failed last.
        let _ = self.again();
    }

    /// Routes anew: after an await the table may have changed, and an upstream that left it may be gone.
    fn again(&mut self) -> Result<(), Fault> {
        self.service.tally.retried();
        let routed = self.worker.routes.route(self.host);
        self.service = routed.map_err(|_| Fault::HostUnknown)?;
        Ok(())
    }

    async fn send(&self, sender: &mut Sender, request: Request<RequestBody>) -> Sent {
        let mut answer = pin!(sender.try_send_request(request));
        let limit = self.worker.settings.first_byte_timeout;
        let mut frames = 0;
        loop {
            let waited = timeout(limit, &mut answer).await;
            match (waited, &self.progress) {
                (Ok(Ok(response)), _) => return Sent::Answered(response),
                (Ok(Err(mut error)), _) => {
                    return match error.take_message() {
                        Some(request) => Sent::Unsent(request),
                        None => lost_or_failed(&error.into_error()),
                    };
                }
                (Err(_), None) => return Sent::Failed(Fault::Silent),
                (Err(_), Some(progress)) => {
                    // The time counts from the last byte of the request that was passed on.
                    let passed_on = progress.frames.get();
                    if passed_on == frames {
                        let client = progress.waits_for_client.get();
                        return Sent::Failed(if client {
                            Fault::BodyStalled
                        } else {
                            Fault::Silent
                        });
                    }
                    frames = passed_on;
                }
            }
        }
    }
}

/// A kept connection. One that is to carry a request that cannot be sent twice is looked at once more.
async fn take_kept(in_use: &InUse, safe: bool) -> Option<Sender> {
    let sender = in_use.take_idle()?;
    if !safe {
        // One turn through the driver: if the upstream has closed it, that is known afterwards.
        yield_now().await;
        if !sender.is_ready() {
            return None;
        }
    }
    Some(sender)
}

fn lost_or_failed(error: &hyper::Error) -> Sent {
    if error.is_parse() {
        Sent::Failed(Fault::NotHttp)
    } else if error.is_user() {
        Sent::Failed(Fault::BodyBroken)
    } else {
        Sent::Lost
    }
}

fn fault_of(error: &ConnectError) -> Fault {
    let ConnectError::Refused(error) = error else {
        return Fault::ConnectTimedOut;
    };
    match error.kind() {
        io::ErrorKind::TimedOut => Fault::ConnectTimedOut,
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory => Fault::Exhausted,
        // EMFILE and ENFILE have no kind of their own: 24 and 23 on Linux (errno(3)).
        _ if matches!(error.raw_os_error(), Some(23 | 24)) => Fault::Exhausted,
        _ => Fault::Refused,
    }
}
