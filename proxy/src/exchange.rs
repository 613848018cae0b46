//! Getting one request answered by one of a service's upstreams: choose, connect, send, wait, try again.
//!
//! What is tried again, and only that: a connection that could not be made (another upstream), a request
//! hyper gives back unsent (any method: nothing of it was written), one that an upstream refused over HTTP/2
//! (any method: it has not been looked at) and whose body is none or was small and sent in full, and a safe request without a body whose kept
//! connection was closed before any answer.
//!
//! Waking a sleeping upstream belongs where [`Exchange::choose`] finds none.

use crate::body::{Progress, RequestBody};
use crate::connection::Client;
use crate::fault::Fault;
use crate::pool::{InUse, Lease, Sender};
use crate::routes::LocalService;
use crate::table::{ServiceState, Upstream};
use http::header::{CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri, Version};
use hyper::body::Incoming;
use std::pin::pin;
use std::rc::Rc;
use tokio::task::yield_now;
use tokio::time::timeout;

/// What an upstream answered, and the connection it answers on.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    pub(crate) lease: Lease,
}

/// One request on its way to an answer.
///
/// Its future lies in every client connection and is moved for every request: the request is kept here once
/// and taken from here, and what happens rarely is boxed.
pub(crate) struct Exchange {
    client: Rc<Client>,
    host: HeaderValue,
    service: Rc<LocalService>,
    /// What is still to be sent, or may be sent again.
    request: Option<Request<RequestBody>>,
    progress: Option<Rc<Progress>>,
    in_use: Option<InUse>,
    /// Without a body, and of a method that may be repeated (RFC 9110 section 9.2.1).
    safe: bool,
    /// Upstreams that did not accept a connection.
    tried: Vec<Upstream>,
    retries: u32,
    last: Fault,
}

/// How a request fared on one connection.
enum Sent {
    Answered(Response<Incoming>),
    /// The connection closed without an answer. The request is back if it may be sent again.
    Lost,
    Failed(Fault),
}

impl Exchange {
    /// Prepares a request and picks an upstream for it, which counts it from now on.
    ///
    /// No await may come between routing to `service` and this: see [`crate::handle`].
    pub(crate) fn new(
        client: &Rc<Client>,
        host: HeaderValue,
        service: Rc<LocalService>,
        request: Request<RequestBody>,
    ) -> Result<Exchange, Fault> {
        let progress = request.body().progress();
        let mut exchange = Exchange {
            client: Rc::clone(client),
            host,
            service,
            safe: progress.is_none() && request.method().is_safe(),
            request: Some(request),
            progress,
            in_use: None,
            tried: Vec::new(),
            retries: 0,
            last: Fault::NoProcess,
        };
        exchange.in_use = Some(exchange.choose()?);
        Ok(exchange)
    }

    pub(crate) fn client(&self) -> &Rc<Client> {
        &self.client
    }

    pub(crate) fn service(&self) -> &Rc<LocalService> {
        &self.service
    }

    /// How often another attempt was needed.
    pub(crate) fn retries(&self) -> u32 {
        self.retries
    }

    /// The upstream that has the request, or was asked last.
    pub(crate) fn upstream(&self) -> Option<&Upstream> {
        let in_use = self.in_use.as_ref().map(InUse::upstream);
        in_use.or_else(|| self.tried.last())
    }

    /// Sends the request until it is answered or there is nothing left to try.
    ///
    /// Cancelled, it closes the connection the request is on.
    pub(crate) async fn run(&mut self) -> Result<Answer, Fault> {
        let protocol = self.service.service.protocol;
        let open = self
            .in_use
            .as_ref()
            .and_then(|in_use| in_use.take_open(protocol));
        if let Some(mut sender) = open {
            if !self.safe {
                // It can be sent only once. One turn through the driver, and if the upstream has closed
                // this connection meanwhile, that is known.
                yield_now().await;
            }
            if sender.is_ready() {
                match self.send(&mut sender, self.safe).await {
                    Sent::Answered(response) => return self.answered(response, sender),
                    Sent::Failed(fault) => return Err(fault),
                    Sent::Lost if self.request.is_none() => return Err(Fault::ClosedEarly),
                    // Other kept connections may have died as well: from here on new ones.
                    Sent::Lost => self.in_use = None,
                }
                self.retry();
            }
        }
        Box::pin(self.run_anew()).await
    }

    /// The same over new connections.
    async fn run_anew(&mut self) -> Result<Answer, Fault> {
        loop {
            if self.in_use.is_none() {
                self.route()?;
                self.in_use = Some(self.choose()?);
            }
            let in_use = self.in_use.as_ref().ok_or(Fault::NoProcess)?;
            let timeout = self.service.connect_timeout;
            let connected = in_use.connect(self.service.service.protocol, timeout).await;
            let fault = match connected {
                Ok(mut sender) => match self.send(&mut sender, false).await {
                    Sent::Answered(response) => return self.answered(response, sender),
                    Sent::Failed(fault) => return Err(fault),
                    Sent::Lost if self.request.is_none() => return Err(Fault::ClosedEarly),
                    // It accepted the connection and closed it at once.
                    Sent::Lost => Fault::ClosedEarly,
                },
                Err(fault) => fault,
            };
            if let Some(in_use) = self.in_use.take() {
                tracing::debug!(upstream = %in_use.upstream().id, ?fault, "no connection to an upstream");
                self.tried.push(in_use.upstream().clone());
            }
            self.last = fault;
            self.retry();
        }
    }

    fn retry(&mut self) {
        self.retries += 1;
        self.service.tally.retried();
    }

    fn answered(&mut self, response: Response<Incoming>, sender: Sender) -> Result<Answer, Fault> {
        let in_use = self.in_use.take().ok_or(Fault::NoProcess)?;
        let lease = Lease { sender, in_use };
        Ok(Answer { response, lease })
    }

    /// Routes anew: after an await the table may have changed, and an upstream that left it may be gone.
    fn route(&mut self) -> Result<(), Fault> {
        let routed = self.client.worker.routes.route_again(&self.service);
        self.service = routed.map_err(|_| Fault::HostUnknown)?;
        Ok(())
    }

    fn choose(&self) -> Result<InUse, Fault> {
        match self.service.service.state {
            ServiceState::NotDeployed => return Err(Fault::NotDeployed),
            ServiceState::Stopped => return Err(Fault::Stopped),
            ServiceState::Serving => {}
        }
        let random = &self.client.worker.stamps.random;
        self.service.pick(&self.tried, random).ok_or(self.last)
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

    async fn send(&mut self, sender: &mut Sender, keep_copy: bool) -> Sent {
        let Some(mut request) = self.request.take() else {
            return Sent::Lost;
        };
        if let Err(fault) = shape(&mut request, sender.is_http2(), &self.host) {
            return Sent::Failed(fault);
        }
        // What an upstream refuses over HTTP/2 it has not looked at, whatever the method is.
        if keep_copy || sender.is_http2() {
            self.request = Some(copy_of(&request));
        }
        let mut answer = pin!(sender.try_send(request));
        let limit = self.service.first_byte_timeout;
        let mut frames = 0;
        loop {
            let waited = timeout(limit, &mut answer).await;
            match (waited, &self.progress) {
                (Ok(Ok(response)), _) => return Sent::Answered(response),
                // Too large, and nothing goes on any more.
                (Err(_), Some(progress)) if progress.failed.get().is_some() => {
                    return Sent::Failed(progress.failed.get().unwrap_or(Fault::BodyBroken));
                }
                (Ok(Err(mut error)), _) => {
                    if let Some(unsent) = error.take_message() {
                        self.request = Some(unsent);
                        return Sent::Lost;
                    }
                    let error = error.into_error();
                    let failed = self.progress.as_ref().and_then(|body| body.failed.get());
                    if let Some(fault) = failed {
                        return Sent::Failed(fault);
                    }
                    if is_refused(&error) {
                        self.refill();
                    } else if !keep_copy {
                        self.request = None;
                    }
                    return lost_or_failed(&error);
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

/// The same request once more, without its body.
fn copy_of(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::None);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// Gives a request the form of the HTTP it is sent over; it may have had the other one before.
fn shape(
    request: &mut Request<RequestBody>,
    is_http2: bool,
    host: &HeaderValue,
) -> Result<(), Fault> {
    if is_http2 == request.uri().scheme().is_some() {
        return Ok(());
    }
    let mut target = std::mem::take(request.uri_mut()).into_parts();
    if is_http2 {
        let authority = Authority::try_from(host.as_bytes());
        target.authority = Some(authority.map_err(|_| Fault::HostMalformed)?);
        target.scheme = Some(Scheme::HTTP);
        let headers = request.headers_mut();
        for name in [HOST, TRANSFER_ENCODING, CONNECTION, UPGRADE] {
            headers.remove(name);
        }
    } else {
        target.authority = None;
        target.scheme = None;
        request.headers_mut().insert(HOST, host.clone());
    }
    *request.uri_mut() = Uri::from_parts(target).map_err(|_| Fault::TargetMalformed)?;
    *request.version_mut() = if is_http2 {
        Version::HTTP_2
    } else {
        Version::HTTP_11
    };
    Ok(())
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
        Sent::Lost
    }
}
