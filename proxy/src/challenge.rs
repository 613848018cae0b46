//! HTTP-01 challenges (RFC 8555 section 8.3), answered before any routing.

use crate::body::ResponseBody;
use crate::client::Client;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};

const PATH: &str = "/.well-known/acme-challenge/";

/// The answer, if the request asks for a token that is known. Any other is the app's.
pub(crate) fn answer<B>(client: &Client, request: &Request<B>) -> Option<Response<ResponseBody>> {
    let token = token(request)?;
    let challenges = client.worker.http_challenges();
    let authorization = challenges.get(token)?;
    tracing::info!("answered an HTTP-01 challenge");
    let mut response = Response::new(ResponseBody::Page(Some(Bytes::from(authorization.clone()))));
    let headers = response.headers_mut();
    // RFC 8555 section 8.3 asks for no type; this one no browser runs.
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(response)
}

/// Whether a request is on the path of challenges, which is never redirected to HTTPS.
pub(crate) fn is_challenge<B>(request: &Request<B>) -> bool {
    token(request).is_some()
}

fn token<B>(request: &Request<B>) -> Option<&str> {
    let token = request.uri().path().strip_prefix(PATH)?;
    (request.method() == Method::GET || request.method() == Method::HEAD).then_some(token)
}
