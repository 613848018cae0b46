//! The way of one request: checked, routed, cleaned, sent to an upstream, its answer cleaned and passed on.

use crate::access_log::{Entry, Logged};
use crate::body::{AnswerBody, RequestBody, ResponseBody, discard_all};
use crate::challenge;
use crate::client::{Client, Visitor};
use crate::destination::{origin_form, owned, route, stripped};
use crate::exchange::{Answer, Exchange, Given};
use crate::fault::Fault;
use crate::gate::{Admitted, Held, InFlight, Refusal, Verification};
use crate::headers::{self, Added, Told};
use crate::https;
use crate::interim::Interims;
use crate::packing::{self, Coding};
use crate::pages::{Reader, page};
use crate::pool::InUse;
use crate::received::Received;
use crate::redirect::Asked;
use crate::routes::{LocalRedirect, LocalService, Routed, Served};
use crate::tunnel::{self, ClientEnd, UpstreamEnd};
use crate::upstream::Takes;
use crate::websocket;
use bytes::Bytes;
use futures_util::future::{Either, ready};
use http::header::{ACCEPT, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;

/// Answers a request: with an upstream's answer, or with a page that says why there is none. Meanwhile the task that polls
/// this is woken for interim answers, which are to go before it.
///
/// All that needs no waiting happens before the future is made, which keeps it small.
pub(crate) fn answer(
    client: &Rc<Client>,
    request: Request<Received>,
    interims: Interims,
) -> impl Future<Output = Result<Response<Logged>, Infallible>> + use<> {
    let visitor = client.visitor(request.headers());
    let mut entry = Entry::open(client, &visitor, &request);
    if let Some(answer) = challenge::answer(client, &request) {
        entry.unrouted(&request);
        return Either::Right(Either::Left(ready(Ok(Logged::answer(answer, entry)))));
    }
    match Forwarding::begin((client, &visitor), request, &mut entry, false) {
        Ok(forwarding) => Either::Left(forwarding.run(entry, interims)),
        Err(Turned::Away(page)) => {
            Either::Right(Either::Left(ready(Ok(Logged::answer(*page, entry)))))
        }
        Err(Turned::Aside(waiting)) => Either::Right(Either::Right(waiting.answer(
            Rc::clone(client),
            entry,
            interims,
        ))),
    }
}

/// A request that is not forwarded, or not yet.
enum Turned {
    /// It gets this page.
    Away(Box<Response<ResponseBody>>),
    /// Its password has to be looked at first.
    Aside(Box<Waiting>),
}

impl From<Response<ResponseBody>> for Turned {
    fn from(page: Response<ResponseBody>) -> Turned {
        Turned::Away(Box::new(page))
    }
}

/// A request whose password is being looked at.
struct Waiting {
    visitor: Rc<Visitor>,
    request: Request<Received>,
    service: Rc<LocalService>,
    verification: Verification,
}

type Answered = Result<Response<Logged>, Infallible>;

impl Waiting {
    /// Boxed: it happens once for each password and thread.
    fn answer(
        self: Box<Self>,
        client: Rc<Client>,
        mut entry: Entry,
        interims: Interims,
    ) -> Pin<Box<dyn Future<Output = Answered>>> {
        Box::pin(async move {
            let Waiting {
                visitor,
                request,
                service,
                verification,
            } = *self;
            let verified = match &service.gate {
                Some(gate) => gate.verify(verification, visitor.ip).await,
                None => Ok(()),
            };
            if let Err(refusal) = verified {
                let page = refused(refusal, (&service, &visitor), request, &mut entry);
                return Ok(Logged::answer(page, entry));
            }
            // Routed anew: the table may have changed meanwhile.
            let page = match Forwarding::begin((&client, &visitor), request, &mut entry, true) {
                Ok(forwarding) => return forwarding.run(entry, interims).await,
                Err(Turned::Away(page)) => *page,
                // The password was changed in this very moment.
                Err(Turned::Aside(waiting)) => {
                    let refusal = Refusal::from(Fault::PasswordWanted);
                    let of = (&*waiting.service, &*visitor);
                    refused(refusal, of, waiting.request, &mut entry)
                }
            };
            Ok(Logged::answer(page, entry))
        })
    }
}

/// The page for a request that its service's gate holds back.
fn refused(
    refusal: Refusal,
    (service, visitor): (&LocalService, &Visitor),
    request: Request<Received>,
    entry: &mut Entry,
) -> Response<ResponseBody> {
    entry.failed(refusal.fault);
    let reader = Reader {
        accept: request.headers().get(ACCEPT),
        retry_after: refusal.retry_after,
        ..Reader::at(&service.service, visitor)
    };
    let page = page(refusal.fault, reader);
    service.tally.answered(page.status());
    discard_all(request);
    page
}

/// A request as it goes to an upstream, with what is needed to pass on the answer.
struct Forwarding {
    exchange: Exchange,
    accept: Option<HeaderValue>,
    request_id: HeaderValue,
    /// The client's connection, if it asks to change its protocol.
    upgrade: Option<ClientEnd>,
    /// It asks so by an extended CONNECT.
    by_connect: bool,
    /// The connection is its own, so that it can be closed with the answer.
    may_close: bool,
    /// It came over TLS, to us or to a trusted proxy.
    is_https: bool,
    in_flight: Option<InFlight>,
    /// How the client would have its answer packed.
    coding: Option<Coding>,
}

impl Forwarding {
    /// Checks, routes and cleans a request. `is_again` says that it was turned aside before.
    fn begin(
        (client, visitor): (&Rc<Client>, &Rc<Visitor>),
        mut request: Request<Received>,
        entry: &mut Entry,
        is_again: bool,
    ) -> Result<Forwarding, Turned> {
        let accept = request.headers().get(ACCEPT).cloned();
        let (host, routed) = match route(client, &request) {
            Ok(found) => found,
            Err(fault) => {
                let (fault, owner) = owned(fault, client, &request);
                client.worker.ledger.unrouted.answered(fault.status());
                entry.unrouted(&request);
                entry.failed(fault);
                let reader = Reader {
                    accept: accept.as_ref(),
                    ..Reader::of_owner(owner.as_ref(), visitor)
                };
                let mut page = page(fault, reader);
                if fault.status() == StatusCode::BAD_REQUEST && request.version() != Version::HTTP_2
                {
                    // Where its next request begins, it may see elsewhere than we do.
                    let close = HeaderValue::from_static("close");
                    page.headers_mut().insert(CONNECTION, close);
                }
                discard_all(request);
                return Err(page.into());
            }
        };
        let Served {
            service,
            route: way,
        } = match routed {
            Routed::Service(served) => served,
            Routed::Redirect(redirect) => {
                let of = &redirect.redirect;
                entry.routed(&host, &of.name, of.policy.is_unlogged, &redirect.tally);
                let response = redirected(&redirect, visitor, &host, request.uri());
                redirect.tally.answered(response.status());
                discard_all(request);
                return Err(response.into());
            }
        };
        let is_unlogged = service.service.policy.is_unlogged;
        entry.routed(&host, &service.service.name, is_unlogged, &service.tally);
        if let Some(redirect) =
            https::redirect((client, visitor), &service.service, &host, &request)
        {
            service.tally.answered(redirect.status());
            discard_all(request);
            return Err(redirect.into());
        }
        let admitted = match &service.gate {
            None => Admitted::default(),
            Some(gate) => match gate.admit(visitor, &mut request, is_again) {
                Ok(admitted) => admitted,
                Err(Held::Refused(refusal)) => {
                    let of = (&*service, &**visitor);
                    return Err(refused(refusal, of, request, entry).into());
                }
                Err(Held::Unverified(verification)) => {
                    return Err(Turned::Aside(Box::new(Waiting {
                        visitor: Rc::clone(visitor),
                        request,
                        service,
                        verification,
                    })));
                }
            },
        };
        let coding = match service.service.policy.compression {
            true => Coding::wanted(&request),
            false => None,
        };
        if request.version() == Version::HTTP_10 {
            // To be ignored (RFC 9110 section 7.8).
            request.headers_mut().remove(UPGRADE);
        }
        let upgrade = headers::clean_request(request.headers_mut());
        let by_connect = websocket::is_connect(&request);
        let upgrade = if by_connect {
            request.body_mut().take_tunnel().map(ClientEnd::Stream)
        } else {
            upgrade.and_then(|_| request.body().switch().map(ClientEnd::Connection))
        };
        if request.version() == Version::HTTP_2 {
            headers::join_cookies(request.headers_mut());
            if by_connect {
                websocket::ask(&mut request, &client.worker.stamps.random);
            }
        }
        if request.uri().authority().is_some() {
            *request.uri_mut() = origin_form(request.uri());
            request.headers_mut().insert(HOST, host.clone());
        }
        if let Some(prefix) = way.stripped() {
            *request.uri_mut() = stripped(request.uri(), prefix);
        }
        let may_close = request.version() != Version::HTTP_2;
        // The upstream is spoken to in our own version, whatever the client speaks.
        *request.version_mut() = Version::HTTP_11;
        request.extensions_mut().clear();
        let told = Told {
            visitor,
            host: &host,
            policy: &service.service.policy,
            stamps: &client.worker.stamps,
        };
        let added = Added::to(request.headers_mut(), &told);
        let request_id = added.id().clone();
        if let Some(prefix) = way.stripped() {
            headers::set_prefix(request.headers_mut(), prefix);
        }
        if let Some(user) = admitted.user {
            request
                .headers_mut()
                .insert(headers::X_FORWARDED_USER, user);
        }
        let is_http2 = service.service.protocol.is_http2(&request);
        let settings = &client.worker.settings;
        let mut request =
            request.map(|received| RequestBody::new(received, &service, settings, is_http2));
        // There it is fields of a map that are sent.
        let added = if is_http2 {
            added.insert(request.headers_mut());
            None
        } else {
            Some(added)
        };
        entry.forwarded(&request_id, request.body().progress());
        let served = Served {
            service: Rc::clone(&service),
            route: way,
        };
        // Where nothing is added to its answer, that need not be taken apart.
        let takes_lines = may_close && !(service.service.hsts.is_some() && visitor.is_https);
        let may_be_packed = service.service.policy.compression;
        let mut exchange = Exchange::new(client, host, served, (request, added), is_http2)
            .map_err(|fault| {
                let reader = Reader {
                    accept: accept.as_ref(),
                    request_id: Some(&request_id),
                    ..Reader::at(&service.service, visitor)
                };
                service.tally.answered(fault.status());
                entry.failed(fault);
                page(fault, reader)
            })?;
        exchange.takes_lines = takes_lines.then_some(Takes { may_be_packed });
        Ok(Forwarding {
            exchange,
            accept,
            request_id,
            upgrade,
            by_connect,
            may_close,
            is_https: visitor.is_https,
            in_flight: admitted.in_flight,
            coding,
        })
    }

    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn would hold `self` twice: as argument and as local"
    )]
    fn run(
        mut self,
        mut entry: Entry,
        interims: Interims,
    ) -> impl Future<Output = Result<Response<Logged>, Infallible>> {
        async move {
            let answer = self.exchange.run(&interims).await;
            let mut lines = None;
            let response = match answer.and_then(|answer| self.pass_on(answer, &mut entry)) {
                Ok(response) => {
                    lines = self.exchange.take_lines();
                    response
                }
                Err(fault) => {
                    let upstream = self.exchange.upstream();
                    let upstream = upstream.map(|upstream| &*upstream.id);
                    entry.asked(upstream, self.exchange.retries());
                    entry.failed(fault);
                    self.page(fault)
                }
            };
            self.exchange.service().tally.answered(response.status());
            Ok(Logged::answer(response, entry).map(|body| body.with_lines(lines)))
        }
    }

    fn pass_on(
        &mut self,
        answer: Answer,
        entry: &mut Entry,
    ) -> Result<Response<ResponseBody>, Fault> {
        let Answer {
            mut response,
            in_use,
        } = answer;
        entry.first_byte();
        let upstream = &*in_use.upstream().id;
        entry.asked(Some(upstream), self.exchange.retries());
        let protocol = headers::clean_response(response.headers_mut());
        if response.status() == StatusCode::NO_CONTENT {
            // It has none (RFC 9110 section 8.6), whatever the upstream says.
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        *response.version_mut() = Version::HTTP_11;
        if let (Some(hsts), true) = (&self.exchange.service().service.hsts, self.is_https) {
            hsts.set(response.headers_mut());
        }
        let (parts, given) = response.into_parts();
        let mut response = Response::from_parts(parts, ());
        let from_upstream = match given {
            Given::Body(body) if response.status() != StatusCode::SWITCHING_PROTOCOLS => {
                return self.pass_on_body(response.map(|()| body), in_use);
            }
            // Over HTTP/2, where it is said in other words.
            Given::Body(AnswerBody::Http2(shared)) => {
                let (socket, place) = shared.into_tunnel().ok_or(Fault::NotHttp)?;
                UpstreamEnd::Stream(socket, place)
            }
            Given::Body(_) => return Err(Fault::NotHttp),
            Given::Connection(connection, ahead) => UpstreamEnd::Connection(connection, ahead),
        };
        // An upstream that changes the protocol without being asked does not speak HTTP.
        let from_client = self.upgrade.take().ok_or(Fault::NotHttp)?;
        let mut entry = entry.upgraded(protocol.as_ref());
        if self.by_connect {
            websocket::agree(&mut response);
        } else if let Some(protocol) = protocol {
            headers::ask_upgrade(response.headers_mut(), protocol);
        }
        entry.answered(response.status());
        let client = self.exchange.client();
        tunnel::start(from_client, from_upstream, in_use, client, entry);
        Ok(response.map(|_| ResponseBody::Page(None)))
    }

    fn pass_on_body(
        &mut self,
        response: Response<AnswerBody>,
        in_use: InUse,
    ) -> Result<Response<ResponseBody>, Fault> {
        if self.by_connect && response.status().is_success() {
            // To its client that would mean that it has a WebSocket.
            return Err(Fault::NoWebSockets);
        }
        let service = Rc::clone(self.exchange.service());
        let in_flight = self.in_flight.take();
        let line = self.may_close.then(|| &self.exchange.client().is_blocked);
        let response = response.map(|body| {
            let body = ResponseBody::upstream(body, in_use, service, in_flight);
            match line {
                Some(client) => body.for_line(client),
                None => body,
            }
        });
        self.pack(response)
    }

    /// Compresses an answer that is worth it, if its client takes that.
    fn pack(&self, response: Response<ResponseBody>) -> Result<Response<ResponseBody>, Fault> {
        if !self.exchange.service().service.policy.compression {
            return Ok(response);
        }
        let (mut parts, body) = response.into_parts();
        let may = packing::may_be_packed(&mut parts);
        let body = match self.coding.filter(|_| may) {
            Some(coding) => {
                let bytes = packing::mark(&mut parts.headers, coding);
                // A coder refuses to begin only for want of memory.
                body.packed(coding, bytes).map_err(|_| Fault::Exhausted)?
            }
            None => body,
        };
        Ok(Response::from_parts(parts, body))
    }

    fn page(&self, fault: Fault) -> Response<ResponseBody> {
        let service = &self.exchange.service().service;
        let reader = Reader {
            accept: self.accept.as_ref(),
            app: Some(&service.name),
            request_id: Some(&self.request_id),
            policy: Some(&service.policy),
            retry_after: None,
            hsts: service.hsts.as_ref().filter(|_| self.is_https),
        };
        let mut page = page(fault, reader);
        if fault.status() == StatusCode::REQUEST_TIMEOUT && self.may_close {
            // RFC 9110 section 15.5.9: the rest of the request is not waited for.
            let close = HeaderValue::from_static("close");
            page.headers_mut().insert(CONNECTION, close);
        }
        page
    }
}

/// The answer that sends a client elsewhere, with a line of text for readers that do not follow.
fn redirected(
    redirect: &LocalRedirect,
    visitor: &Visitor,
    host: &HeaderValue,
    target: &Uri,
) -> Response<ResponseBody> {
    let location = redirect.redirect.to.location(Asked {
        scheme: visitor.scheme(),
        host: host.to_str().unwrap_or_default(),
        target,
        prefix: redirect.prefix.as_ref(),
    });
    let text = Bytes::from(format!("This has moved to {location}\n"));
    let mut response = Response::new(ResponseBody::Page(Some(text)));
    *response.status_mut() = redirect.redirect.status.status();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    if let Ok(location) = HeaderValue::try_from(location) {
        headers.insert(LOCATION, location);
    }
    if let (Some(hsts), true) = (&redirect.redirect.hsts, visitor.is_https) {
        hsts.set(headers);
    }
    response
}
