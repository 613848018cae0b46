//! What having a certificate changes for a host: plain HTTP is sent to HTTPS, and browsers are told to stay.

use crate::body::ResponseBody;
use crate::challenge;
use crate::client::{Client, Visitor};
use crate::host::routing_name;
use crate::service::Service;
use http::header::{CACHE_CONTROL, LOCATION, STRICT_TRANSPORT_SECURITY};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use std::time::Duration;

/// What plain HTTP does on a host that has a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PlainHttp {
    /// It is sent to HTTPS with a 308, which keeps method, path and query. Without a listener that speaks
    /// TLS there is nowhere to send it, and it is served. So is what comes in by a port that was opened beside the
    /// listeners ([`ProxyHandle::open_port`](crate::ProxyHandle::open_port)).
    #[default]
    Redirect,
    /// It is served like HTTPS.
    Serve,
}

/// What browsers are told about a host in `Strict-Transport-Security` (RFC 6797), over HTTPS only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hsts(HeaderValue);

impl Hsts {
    /// For how long browsers go to HTTPS by themselves, to the second; whether to hosts below this one too;
    /// whether makers of browsers may build it in (<https://hstspreload.org> asks for a year and
    /// `include_subdomains`).
    pub fn new(max_age: Duration, include_subdomains: bool, preload: bool) -> Hsts {
        let mut text = format!("max-age={}", max_age.as_secs());
        if include_subdomains {
            text.push_str("; includeSubDomains");
        }
        if preload {
            text.push_str("; preload");
        }
        Hsts(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("max-age=0")))
    }

    /// An app that sends the field itself knows better.
    pub(crate) fn set(&self, headers: &mut HeaderMap) {
        headers
            .entry(STRICT_TRANSPORT_SECURITY)
            .or_insert_with(|| self.0.clone());
    }
}

/// The redirect to HTTPS, if this request came over plain HTTP to a host that has a certificate.
pub(crate) fn redirect<B>(
    (client, visitor): (&Client, &Visitor),
    service: &Service,
    host: &HeaderValue,
    request: &Request<B>,
) -> Option<Response<ResponseBody>> {
    // A port of its own that speaks plain HTTP was opened for just that.
    if visitor.is_https || client.own_port.is_some() || service.plain_http == PlainHttp::Serve {
        return None;
    }
    let port = client.worker.https_port?;
    let name = routing_name(host.to_str().ok()?)?;
    let is_covered = client.worker.certificates().find(&name).is_some();
    if !is_covered || challenge::is_challenge(request) {
        return None;
    }
    let path = request.uri().path_and_query();
    let path = path.map_or("/", |path| path.as_str());
    let location = match port {
        443 => format!("https://{name}{path}"),
        port => format!("https://{name}:{port}{path}"),
    };
    let mut response = Response::new(ResponseBody::Page(None));
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let headers = response.headers_mut();
    headers.insert(LOCATION, HeaderValue::try_from(location).ok()?);
    // A 308 may otherwise be kept for good (RFC 9110 section 15.4.9), also when the certificate has gone.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::Hsts;
    use http::HeaderMap;
    use std::time::Duration;

    #[test]
    fn hsts_says_what_was_asked_and_leaves_an_apps_own_alone() {
        let year = Duration::from_secs(31_536_000);
        for (hsts, expected) in [
            (Hsts::new(year, false, false), "max-age=31536000"),
            (
                Hsts::new(year, true, true),
                "max-age=31536000; includeSubDomains; preload",
            ),
        ] {
            let mut headers = HeaderMap::new();
            hsts.set(&mut headers);
            assert_eq!(headers["strict-transport-security"], expected);
            Hsts::new(Duration::ZERO, false, false).set(&mut headers);
            assert_eq!(headers["strict-transport-security"], expected);
        }
    }
}
