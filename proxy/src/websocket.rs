//! WebSockets over HTTP/2, which are an extended CONNECT (RFC 8441): from clients, told to the upstream as an upgrade,
//! and to upstreams that take them so.

use crate::headers;
use crate::stamps::Random;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use h2::ext::Protocol;
use http::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode};

/// Whether a request is an extended CONNECT that asks for a WebSocket; h2 lets the protocol come only
/// with CONNECT.
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

/// A WebSocket that is asked for in the words of HTTP/1.1, and that an upstream may take over HTTP/2.
#[derive(Debug)]
pub(crate) struct Socket {
    /// What the client's key is answered with; over HTTP/2 there are no keys (RFC 8441 section 5).
    accept: Option<HeaderValue>,
}

impl Socket {
    /// The one a request asks for, if any.
    pub(crate) fn asked<B>(request: &Request<B>) -> Option<Socket> {
        let headers = request.headers();
        let is_one = |upgrade: &HeaderValue| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket");
        if request.method() != Method::GET || !headers.get(UPGRADE).is_some_and(is_one) {
            return None;
        }
        let accept = headers.get(SEC_WEBSOCKET_KEY).and_then(accept);
        Some(Socket { accept })
    }

    /// Turns the request, which has a scheme and no fields of connections, into the CONNECT of RFC 8441 section 4.
    pub(crate) fn connect<B>(request: &mut Request<B>) {
        *request.method_mut() = Method::CONNECT;
        request.headers_mut().remove(SEC_WEBSOCKET_KEY);
        request
            .extensions_mut()
            .insert(Protocol::from_static("websocket"));
    }

    /// Turns the 200 by which the upstream agrees into the 101 of HTTP/1.1.
    pub(crate) fn agree<B>(self, response: &mut Response<B>) {
        if response.status() != StatusCode::OK {
            return;
        }
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers::ask_upgrade(headers, HeaderValue::from_static("websocket"));
        if let Some(accept) = self.accept {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
    }
}

/// RFC 6455 section 4.2.2: the digest of the key with this text behind it.
fn accept(key: &HeaderValue) -> Option<HeaderValue> {
    let text = [key.as_bytes(), b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, &text);
    HeaderValue::try_from(STANDARD.encode(digest)).ok()
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
    use super::{accept, key};
    use crate::stamps::Random;
    use http::HeaderValue;

    #[test]
    fn a_key_is_answered_as_in_the_example_of_the_rfc() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept(&key).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

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
