//! WebSockets that come over HTTP/2 as an extended CONNECT (RFC 8441), told to the upstream as an upgrade.

use crate::headers;
use crate::stamps::Random;
use http::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::ext::Protocol;

/// Whether a request is an extended CONNECT that asks for a WebSocket; hyper lets the protocol come only
/// with CONNECT over HTTP/2.
pub(crate) fn is_connect<B>(request: &Request<B>) -> bool {
    request.method() == Method::CONNECT
        && request
            .extensions()
            .get::<Protocol>()
            .is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"))
}

/// Turns the CONNECT into the GET of HTTP/1 (RFC 6455 section 4.1). HTTP/2 has no use for the key, whose
/// answer shows that both ends speak WebSocket; the upstream wants one.
pub(crate) fn ask<B>(request: &mut Request<B>, random: &Random) {
    *request.method_mut() = Method::GET;
    let headers = request.headers_mut();
    headers::ask_upgrade(headers, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_KEY, key(random));
}

/// Turns the upstream's 101 into the 200 that HTTP/2 wants (RFC 8441 section 5).
pub(crate) fn agree<B>(response: &mut Response<B>) {
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
}

/// 16 random bytes in base64: 21 digits of 6 bits, one of 2 bits with 4 of padding, and two signs.
fn key(random: &Random) -> HeaderValue {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |below: usize, shift: usize| {
        let digit = random.below(below) << shift;
        DIGITS.get(digit).copied().unwrap_or(b'A')
    };
    let mut text: Vec<u8> = (0..21).map(|_| digit(64, 0)).collect();
    text.extend([digit(4, 4), b'=', b'=']);
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA=="))
}

#[cfg(test)]
mod tests {
    use super::key;
    use crate::stamps::Random;

    #[test]
    fn a_key_is_sixteen_bytes_in_base64_and_new_each_time() {
        let random = Random::new();
        let (first, second) = (key(&random), key(&random));
        assert_ne!(first, second);
        let text = first.to_str().unwrap();
        assert_eq!(text.len(), 24);
        let (digits, padding) = text.split_at(22);
        assert_eq!(padding, "==");
        assert!(
            digits
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b))
        );
        assert!(matches!(
            digits.as_bytes().last(),
            Some(b'A' | b'Q' | b'g' | b'w')
        ));
    }
}
