//! The way of one request: checked, routed, cleaned, sent to an upstream, its answer cleaned and passed on.

use crate::body::{RequestBody, ResponseBody};
use crate::connection::Client;
use crate::exchange::{Answer, Exchange};
use crate::fault::Fault;
use crate::headers;
use crate::pages::{Reader, page};
use crate::routes::{LocalService, Unrouted};
use crate::tunnel;
use http::header::{ACCEPT, HOST, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use std::convert::Infallible;
use std::rc::Rc;

/// Answers a request: with an upstream's answer, or with a page that says why there is none.
///
/// An access log has its place here: all that it tells is known when this ends or the body does.
pub(crate) async fn answer(
    client: Rc<Client>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let accept = request.headers().get(ACCEPT).cloned();
    let unrouted = &client.worker.ledger.unrouted;
    let reader = Reader {
        accept: accept.as_ref(),
        ..Reader::default()
    };
    let (host, service) = match route(&client, &request) {
        Ok(routed) => routed,
        Err(fault) => {
            unrouted.answered(fault.status());
            return Ok(page(fault, reader));
        }
    };
    let forwarding = Forwarding::new(&client, request, &host, &service);
    let request_id = forwarding.request_id.clone();
    let response = forwarding
        .run(&client, &host, &service)
        .await
        .unwrap_or_else(|fault| {
            let reader = Reader {
                app: Some(&service.service.name),
                request_id: Some(&request_id),
                ..reader
            };
            page(fault, reader)
        });
    service.tally.answered(response.status());
    Ok(response)
}

/// Which service a request is for, and the host it names.
fn route(
    client: &Client,
    request: &Request<Incoming>,
) -> Result<(HeaderValue, Rc<LocalService>), Fault> {
    if request.method() == Method::CONNECT {
        return Err(Fault::MethodRefused);
    }
    let mut encodings = request.headers().get_all(TRANSFER_ENCODING).iter();
    if let Some(encoding) = encodings.next()
        && (encodings.next().is_some() || !encoding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return Err(Fault::FramingRefused);
    }
    let host = host_of(request)?;
    let name = std::str::from_utf8(host.as_bytes()).map_err(|_| Fault::HostMalformed)?;
    match client.worker.routes.route(name) {
        Ok(service) => Ok((host, service)),
        Err(Unrouted::Malformed) => Err(Fault::HostMalformed),
        Err(Unrouted::Unknown) => Err(Fault::HostUnknown),
    }
}

/// RFC 9112 section 3.2: one Host field, and a target in absolute form overrules it.
fn host_of(request: &Request<Incoming>) -> Result<HeaderValue, Fault> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Fault::HostRepeated);
    }
    match request.uri().authority() {
        Some(authority) => {
            HeaderValue::try_from(authority.as_str()).map_err(|_| Fault::HostMalformed)
        }
        None => host.cloned().ok_or(Fault::HostMissing),
    }
}

/// A request as it goes to an upstream.
struct Forwarding {
    request: Request<RequestBody>,
    request_id: HeaderValue,
    /// The client's connection, if it asks to change its protocol.
    upgrade: Option<OnUpgrade>,
}

impl Forwarding {
    fn new(
        client: &Client,
        mut request: Request<Incoming>,
        host: &HeaderValue,
        service: &Rc<LocalService>,
    ) -> Forwarding {
        let on_upgrade =
            headers::clean_request(request.headers_mut()).map(|_| hyper::upgrade::on(&mut request));
        if request.uri().authority().is_some() {
            *request.uri_mut() = origin_form(request.uri());
            request.headers_mut().insert(HOST, host.clone());
        }
        // The upstream is spoken to in our own version, whatever the client speaks.
        *request.version_mut() = Version::HTTP_11;
        request.extensions_mut().clear();
        let request_id = headers::set_forwarded(request.headers_mut(), client, host);
        Forwarding {
            request: request.map(|incoming| RequestBody::new(incoming, service)),
            request_id,
            upgrade: on_upgrade,
        }
    }

    async fn run(
        self,
        client: &Client,
        host: &HeaderValue,
        service: &Rc<LocalService>,
    ) -> Result<Response<ResponseBody>, Fault> {
        let name = std::str::from_utf8(host.as_bytes()).map_err(|_| Fault::HostMalformed)?;
        let exchange = Exchange::new(&client.worker, name, Rc::clone(service));
        let Answer {
            mut response,
            lease,
        } = exchange.run(self.request).await?;
        let protocol = headers::clean_response(response.headers_mut());
        *response.version_mut() = Version::HTTP_11;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response.map(|body| ResponseBody::upstream(body, lease, Rc::clone(service))));
        }
        // An upstream that changes the protocol without being asked does not speak HTTP.
        let from_client = self.upgrade.ok_or(Fault::NotHttp)?;
        let from_upstream = hyper::upgrade::on(&mut response);
        if let Some(protocol) = protocol {
            headers::ask_upgrade(response.headers_mut(), protocol);
        }
        tunnel::start(
            from_client,
            from_upstream,
            lease,
            client.worker.open.enter(),
        );
        Ok(response.map(|_| ResponseBody::Page(None)))
    }
}

/// A target in absolute form as the origin server gets it.
fn origin_form(target: &Uri) -> Uri {
    let path = target.path_and_query().cloned();
    Uri::from(path.unwrap_or(PathAndQuery::from_static("/")))
}
