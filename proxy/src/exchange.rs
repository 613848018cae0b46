//! Getting one request answered by one of a service's upstreams: choose, connect, send, wait, try again.
//!
//! What is tried again, and only that (RFC 9110 section 9.2.2):
//! - a connection that could not be made: another upstream, whatever the method is;
//! - a request of which nothing was written, whatever the method is;
//! - one that an upstream refused over HTTP/2, whatever the method is: it has not been looked at. Its body is none, or
//!   was small and sent in full;
//! - one without a body, of an idempotent method, whose connection closed before anything of an answer came: once.
//!
//! The last two have cost an upstream something, and are held to a budget: see [`crate::budget`].
//! A request for which there is no upstream, or not yet, waits: see [`crate::hold`].

mod over_http1;
mod over_http2;

use crate::body::{AnswerBody, Progress, RequestBody};
use crate::client::Client;
use crate::deadline::Deadline;
use crate::fault::Fault;
use crate::headers::Added;
use crate::hold::Wait;
use crate::interim::Interims;
use crate::pool::{InUse, Sender};
use crate::protocol::Way;
use crate::routes::{Avoided, LocalRoute, LocalService, Served};
use crate::service::{ServiceState, Upstream};
use crate::upstream::{Connection, Lines, Takes};
use crate::websocket::Socket;
use bytes::Bytes;
use http::header::{CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri, Version};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::task::yield_now;

/// How many upstreams are asked to take one request: each may cost a connect timeout.
const MOST_TRIED: usize = 5;

/// What an upstream answered. It counts as in use until the answer has been passed on.
pub(crate) struct Answer {
    pub(crate) response: Response<Given>,
    pub(crate) in_use: InUse,
}

/// What comes behind the head of an answer.
pub(crate) enum Given {
    Body(AnswerBody),
    /// The connection, which speaks another protocol from here on, and what came of that already.
    Connection(Connection, Bytes),
}

/// One request on its way to an answer.
///
/// Its future lies in every client connection and is moved for every request: the request is kept here once
/// and taken from here, and what happens rarely is boxed.
pub(crate) struct Exchange {
    client: Rc<Client>,
    host: HeaderValue,
    service: Rc<LocalService>,
    /// The route that led to it.
    route: LocalRoute,
    /// What is still to be sent, or may be sent again.
    request: Option<Request<RequestBody>>,
    /// What it is told beside its own fields, if they do not have it.
    added: Option<Added>,
    /// The fields of its answer may be lines.
    pub(crate) takes_lines: Option<Takes>,
    /// The fields of the answer, if its map does not have them.
    lines: Option<Lines>,
    /// Whether the upstream is spoken to in HTTP/2.
    is_http2: bool,
    progress: Option<Rc<Progress>>,
    /// The upstream; none as long as the request waits for one.
    in_use: Option<InUse>,
    is_trial: bool,
    /// Without a body, of a method that may be repeated (RFC 9110 section 9.2.2), and not yet repeated.
    is_repeatable: bool,
    /// The WebSocket it asks for, if the upstream is spoken to in HTTP/2: how that is asked for depends on the upstream.
    socket: Option<Box<Socket>>,
    avoided: Avoided,
    retries: u32,
    last: Fault,
}

/// How a request fared on one connection.
enum Sent {
    Answered(Response<Given>),
    /// There is no answer. The request is back if it may be sent again.
    Lost(Lost),
    Failed(Fault),
}

/// How a request was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lost {
    /// The connection closed before anything of it was written.
    Unsent,
    /// The upstream said that it has not looked at it.
    Refused,
    /// The connection closed, and how far it had come is not known.
    Broken,
}

impl Exchange {
    /// Prepares a request, with what its upstream is told beside its own fields, and picks an upstream for it, which counts it from now on, unless it has to wait for one.
    ///
    /// No await may come between routing and this: see [`crate::handle`].
    pub(crate) fn new(
        client: &Rc<Client>,
        host: HeaderValue,
        Served { service, route }: Served,
        (request, added): (Request<RequestBody>, Option<Added>),
        is_http2: bool,
    ) -> Result<Exchange, Fault> {
        let progress = request.body().progress();
        // What has a body cannot become a tunnel: nobody could say where that begins.
        let may_be_socket = is_http2 && progress.is_none();
        let socket = may_be_socket.then(|| Socket::asked(&request)).flatten();
        let socket = socket.map(Box::new);
        let mut exchange = Exchange {
            client: Rc::clone(client),
            host,
            service,
            route,
            is_repeatable: progress.is_none() && request.method().is_idempotent(),
            request: Some(request),
            added,
            takes_lines: None,
            lines: None,
            is_http2,
            progress,
            in_use: None,
            is_trial: false,
            socket,
            avoided: Avoided::default(),
            retries: 0,
            last: Fault::NoProcess,
        };
        match exchange.choose() {
            // That may pass: it is waited for.
            Ok(()) | Err(Fault::NoProcess | Fault::Paused) => Ok(exchange),
            Err(fault) => Err(fault),
        }
    }

    pub(crate) fn client(&self) -> &Rc<Client> {
        &self.client
    }

    pub(crate) fn service(&self) -> &Rc<LocalService> {
        &self.service
    }

    /// The fields of the answer, if its map does not have them.
    pub(crate) fn take_lines(&mut self) -> Option<Lines> {
        self.lines.take()
    }

    /// How often another attempt was needed.
    pub(crate) fn retries(&self) -> u32 {
        self.retries
    }

    /// The upstream that has the request, or was asked last.
    pub(crate) fn upstream(&self) -> Option<&Upstream> {
        let in_use = self.in_use.as_ref().map(InUse::upstream);
        in_use.or_else(|| self.avoided.tried.last())
    }

    /// Sends the request until it is answered or there is nothing left to try.
    ///
    /// Cancelled, it closes the connection the request is on.
    pub(crate) async fn run(&mut self, interims: &Interims) -> Result<Answer, Fault> {
        let _awaited = interims.wait();
        let way = self.way();
        // What is tried after a while is tried over a connection of its own: a process about to end answers over old
        // ones.
        let open = self
            .in_use
            .as_ref()
            .filter(|_| !self.is_trial)
            .and_then(|in_use| in_use.take_open(way, !self.is_repeatable));
        if let Some(mut sender) = open {
            if !self.is_repeatable && sender.is_http2() {
                // It can be sent only once. One turn through the driver, and if the upstream has closed
                // this connection meanwhile, that is known.
                yield_now().await;
            }
            if sender.is_ready() {
                match self.send(sender, interims).await {
                    Sent::Answered(response) => return self.answered(response),
                    Sent::Failed(fault) => return Err(fault),
                    // Other kept connections may have died as well: from here on new ones.
                    Sent::Lost(lost) => {
                        let in_use = self.in_use.take();
                        self.avoided.lost =
                            in_use.map(|in_use| Box::new(in_use.upstream().clone()));
                        self.may_go_on(lost)?;
                    }
                }
                self.retry();
            }
        }
        Box::pin(self.run_anew(interims)).await
    }

    fn way(&self) -> Way {
        Way::of(self.is_http2, self.socket.is_some())
    }

    /// The same over new connections, and as soon as there is an upstream.
    async fn run_anew(&mut self, interims: &Interims) -> Result<Answer, Fault> {
        let client = Rc::clone(&self.client);
        let worker = &client.worker;
        let mut wait = Wait::default();
        loop {
            if self.in_use.is_none() {
                let changed = worker.changed.notified();
                self.route()?;
                if let Err(fault) = self.choose() {
                    let now_ms = worker.shared.now_ms();
                    wait.wait(&self.service, fault, changed, &worker.settings, now_ms)
                        .await?;
                    self.avoided = Avoided::default();
                    self.last = Fault::NoProcess;
                    continue;
                }
            }
            let in_use = self.in_use.as_ref().ok_or(Fault::NoProcess)?;
            let timeout = self.service.connect_timeout;
            // The address of a container that has ended answers nothing for some seconds: one that leaves the table is
            // waited for no longer.
            let connected = tokio::select! {
                biased;
                connected = in_use.connect(self.way(), timeout) => connected,
                () = in_use.left() => {
                    self.in_use = None;
                    continue;
                }
            };
            self.last = match connected {
                Ok(sender) => {
                    let is_http2 = sender.is_http2();
                    match self.send(sender, interims).await {
                        Sent::Answered(response) => return self.answered_anew(response),
                        Sent::Failed(fault) => return Err(fault),
                        // It speaks HTTP/2, and nothing is wrong with it.
                        Sent::Lost(_) if self.socket.is_some() && !is_http2 => {
                            return Err(Fault::NoWebSockets);
                        }
                        Sent::Lost(lost) => {
                            if lost != Lost::Refused {
                                self.note(InUse::closed);
                            }
                            self.may_go_on(lost)?;
                            Fault::ClosedEarly
                        }
                    }
                }
                Err(fault) => {
                    match fault {
                        Fault::Refused | Fault::ConnectTimedOut => self.note(InUse::unreachable),
                        // It took the connection and closed it, or said something that is not HTTP/2.
                        Fault::NotHttp => self.note(InUse::closed),
                        _ => {}
                    }
                    fault
                }
            };
            if let Some(in_use) = self.in_use.take() {
                tracing::debug!(upstream = %in_use.upstream().id, fault = ?self.last, "no answer of an upstream");
                self.avoided.tried.push(in_use.upstream().clone());
            }
            if self.avoided.tried.len() >= MOST_TRIED {
                return Err(self.last);
            }
            self.retry();
        }
    }

    /// Whether a request that was lost may be sent again; it counts as repeated then, if it may have cost something.
    fn may_go_on(&mut self, lost: Lost) -> Result<(), Fault> {
        let is_back = self.request.is_some();
        let may = match lost {
            Lost::Unsent => is_back,
            Lost::Refused | Lost::Broken => {
                let now_ms = self.client.worker.shared.now_ms();
                is_back && self.service.tally.spend_repeat(now_ms)
            }
        };
        if lost == Lost::Broken {
            self.is_repeatable = false;
        }
        may.then_some(()).ok_or(Fault::ClosedEarly)
    }

    /// Has what happened noted of the upstream, and counts if it is left out for that.
    fn note(&self, happened: impl Fn(&InUse) -> bool) {
        if let Some(in_use) = &self.in_use
            && happened(in_use)
        {
            self.service.tally.ejected();
            let service = &self.service.service.name;
            tracing::info!(%service, upstream = %in_use.upstream().id, "an upstream fails and is left out for a while");
        }
    }

    fn answered_anew(&mut self, response: Response<Given>) -> Result<Answer, Fault> {
        if let Some(in_use) = &self.in_use {
            in_use.answered();
        }
        self.service.tally.waiting.over();
        self.answered(response)
    }

    fn retry(&mut self) {
        self.retries += 1;
        self.service.tally.retried();
    }

    fn answered(&mut self, response: Response<Given>) -> Result<Answer, Fault> {
        let in_use = self.in_use.take().ok_or(Fault::NoProcess)?;
        Ok(Answer { response, in_use })
    }

    /// Routes anew: after an await the table may have changed, and an upstream that left it may be gone.
    fn route(&mut self) -> Result<(), Fault> {
        let routed = self.client.worker.routes.route_again(&self.route);
        let served = routed.map_err(|_| Fault::HostUnknown)?;
        self.service = served.service;
        self.route = served.route;
        Ok(())
    }

    /// Picks an upstream, which counts the request from now on.
    fn choose(&mut self) -> Result<(), Fault> {
        match self.service.service.state {
            ServiceState::NotDeployed => return Err(Fault::NotDeployed),
            ServiceState::Stopped => return Err(Fault::Stopped),
            ServiceState::Serving => {}
        }
        if self.service.service.pause_left().is_some() {
            return Err(Fault::Paused);
        }
        let random = &self.client.worker.stamps.random;
        let picked = self.service.pick(&self.avoided, random).ok_or(self.last)?;
        self.is_trial = picked.is_trial;
        self.in_use = Some(picked.in_use);
        Ok(())
    }

    async fn send(&mut self, sender: Sender, interims: &Interims) -> Sent {
        match sender {
            Sender::Http1(connection) => self.send_over_http1(connection, interims).await,
            // Boxed: most upstreams speak the other one, and their requests' futures need not be as large.
            Sender::Http2(shared) => Box::pin(self.send_over_http2(shared, interims)).await,
        }
    }

    /// Waits for an answer as long as the service's upstreams may take to begin one, counted from the last byte of the request
    /// that was passed on.
    async fn in_time<T>(
        &self,
        mut poll_answer: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Result<T, Fault> {
        let limit = self.service.first_byte_timeout;
        let deadline = Deadline::after(limit);
        let mut frames = 0;
        loop {
            let waited = poll_fn(|cx| match poll_answer(cx) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => deadline.poll_over(cx).map(|()| None),
            });
            if let Some(answer) = waited.await {
                return Ok(answer);
            }
            let Some(progress) = &self.progress else {
                return Err(Fault::Silent);
            };
            // Too large, and nothing goes on any more.
            if let Some(fault) = progress.failed.get() {
                return Err(fault);
            }
            let passed_on = progress.frames.get();
            if passed_on == frames {
                return Err(match progress.waits_for_client.get() {
                    true => Fault::BodyStalled,
                    false => Fault::Silent,
                });
            }
            frames = passed_on;
            deadline.set_after(limit);
        }
    }

    /// From now on it is between client and upstream how fast the rest of the request comes.
    fn answer_has_begun(&self) {
        if let Some(progress) = &self.progress {
            progress.is_answered.set(true);
        }
    }

    /// What was wrong with the body of the request, if that is why nothing came of it.
    fn body_fault(&self) -> Option<Fault> {
        self.progress.as_ref().and_then(|body| body.failed.get())
    }
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
