//! Where a request goes: whether its target and its host can be read in one way only, and what the table says of them.

use crate::client::Client;
use crate::fault::Fault;
use crate::host::routing_name;
use crate::path::PathPrefix;
use crate::received::Received;
use crate::routes::Routed;
use crate::table::{Target, Unrouted};
use crate::websocket;
use http::header::{HOST, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Uri, Version};

/// Where a request goes, and the host it names.
pub(crate) fn route(
    client: &Client,
    request: &Request<Received>,
) -> Result<(HeaderValue, Routed), Fault> {
    if request.method() == Method::CONNECT && !websocket::is_connect(request) {
        return Err(Fault::MethodRefused);
    }
    if !is_target(request) {
        return Err(Fault::TargetMalformed);
    }
    let mut encodings = request.headers().get_all(TRANSFER_ENCODING).iter();
    if let Some(encoding) = encodings.next()
        && (encodings.next().is_some() || !encoding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return Err(Fault::FramingRefused);
    }
    let host = host_of(request)?;
    let name = std::str::from_utf8(host.as_bytes()).map_err(|_| Fault::HostMalformed)?;
    if let Some(shown) = &client.tls {
        let name = routing_name(name).ok_or(Fault::HostMalformed)?;
        if !shown.is_for(&name) {
            return Err(Fault::Misdirected);
        }
    }
    let (routes, path) = (&client.worker.routes, request.uri().path());
    let routed = match client.own_port {
        None => routes.route(name, path),
        Some(port) => routes.route_at(port, name, path),
    };
    match routed {
        Ok(routed) => Ok((host, routed)),
        Err(Unrouted::Malformed) => Err(Fault::HostMalformed),
        Err(Unrouted::Unknown) => Err(Fault::HostUnknown),
        Err(Unrouted::Ambiguous) => Err(Fault::PathAmbiguous),
    }
}

/// Whose host a request names that leads nowhere on it, for that app's pages and what browsers are to know of the host.
pub(crate) fn owned(
    fault: Fault,
    client: &Client,
    request: &Request<Received>,
) -> (Fault, Option<Target>) {
    let owner = || {
        let host = host_of(request).ok()?;
        client.worker.routes.owner(host.to_str().ok()?)
    };
    match fault {
        // At a port of its own it may be another's.
        fault if client.own_port.is_some() => (fault, None),
        Fault::HostUnknown => match owner() {
            Some(owner) => (Fault::PathUnknown, Some(owner)),
            None => (fault, None),
        },
        Fault::PathAmbiguous => (fault, owner()),
        fault => (fault, None),
    }
}

/// Whether the target has a path, or is the `*` of OPTIONS. An authority alone, as CONNECT has it, is none.
///
/// Over HTTP/2 what was written is looked at (RFC 9113 section 8.3.1): of `?a` the library says that its path is `/`.
fn is_target(request: &Request<Received>) -> bool {
    let path = match request.version() {
        Version::HTTP_2 => request
            .uri()
            .path_and_query()
            .map_or("", PathAndQuery::as_str),
        _ => request.uri().path(),
    };
    path.starts_with('/') || (path == "*" && request.method() == Method::OPTIONS)
}

/// RFC 9112 section 3.2: one Host field, and a target in absolute form overrules it. In HTTP/2 the two must
/// agree (RFC 9113 section 8.3.1).
fn host_of(request: &Request<Received>) -> Result<HeaderValue, Fault> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Fault::HostRepeated);
    }
    match request.uri().authority() {
        Some(authority) if request.version() == Version::HTTP_2 => {
            if host.is_some_and(|host| {
                !host
                    .as_bytes()
                    .eq_ignore_ascii_case(authority.as_str().as_bytes())
            }) {
                return Err(Fault::HostDisagrees);
            }
            HeaderValue::try_from(authority.as_str()).map_err(|_| Fault::HostMalformed)
        }
        Some(authority) => {
            HeaderValue::try_from(authority.as_str()).map_err(|_| Fault::HostMalformed)
        }
        None => host.cloned().ok_or(Fault::HostMissing),
    }
}

/// A target in absolute form as the origin server gets it.
pub(crate) fn origin_form(target: &Uri) -> Uri {
    let path = target.path_and_query().cloned();
    let origin = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
    // Of `http://app#a`, and of `#a` over HTTP/2, the library leaves an empty one, which it calls `/` until it writes it.
    if origin.path().is_empty() {
        return Uri::from_static("/");
    }
    origin
}

/// A target in origin form as the service behind a stripped route gets it.
pub(crate) fn stripped(target: &Uri, prefix: &PathPrefix) -> Uri {
    let mut path = prefix.strip_from(target.path());
    if let Some(query) = target.query() {
        path.push('?');
        path.push_str(query);
    }
    // A part of what was a target already is one, too.
    Uri::try_from(path).unwrap_or_else(|_| Uri::from_static("/"))
}
