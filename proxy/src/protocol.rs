//! Which HTTP the two sides of the proxy speak.

use http::header::CONTENT_TYPE;
use http::{Method, Request};

/// How a service's upstreams are spoken to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protocol {
    /// As the request needs it: gRPC in HTTP/2, for it knows no other, and all else in HTTP/1.1.
    #[default]
    ByRequest,
    /// HTTP/1.1, one request at a time on a connection.
    Http1,
    /// HTTP/2 without TLS and without asking first ("prior knowledge", RFC 9113 section 3.3), as gRPC
    /// servers want it: all requests of a data thread share one connection to an upstream.
    H2c,
}

impl Protocol {
    /// Whether a request goes to the upstream in HTTP/2.
    pub(crate) fn is_http2<B>(self, request: &Request<B>) -> bool {
        match self {
            Protocol::ByRequest => is_grpc(request),
            Protocol::Http1 => false,
            Protocol::H2c => true,
        }
    }
}

/// Whether a request is one of gRPC: a POST whose content is `application/grpc`, with or without a suffix such as `+proto`
/// ("gRPC over HTTP2", section Requests). That of gRPC-Web, `application/grpc-web`, is made for HTTP/1.1 as well.
fn is_grpc<B>(request: &Request<B>) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    request.method() == Method::POST
        && request.headers().get(CONTENT_TYPE).is_some_and(|content| {
            let (name, suffix) = content.as_bytes().split_at(GRPC.len().min(content.len()));
            name.eq_ignore_ascii_case(GRPC)
                && matches!(suffix.first(), None | Some(b'+' | b';' | b' '))
        })
}

/// What a request needs of a connection to an upstream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Http1,
    Http2,
    /// HTTP/2 if it takes WebSockets, HTTP/1.1 otherwise.
    Socket,
}

impl Way {
    pub(crate) fn of(is_http2: bool, is_socket: bool) -> Way {
        match (is_http2, is_socket) {
            (false, _) => Way::Http1,
            (true, false) => Way::Http2,
            (true, true) => Way::Socket,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(content: &str) -> Request<()> {
        let post = Request::post("/").header(CONTENT_TYPE, content);
        post.body(()).unwrap()
    }

    #[test]
    fn grpc_alone_needs_http_2() {
        for content in [
            "application/grpc",
            "application/grpc+proto",
            "Application/gRPC; x=1",
        ] {
            assert!(Protocol::ByRequest.is_http2(&post(content)), "{content}");
            assert!(!Protocol::Http1.is_http2(&post(content)), "{content}");
        }
        for content in [
            "application/grpc-web",
            "application/grpc-web+proto",
            "application/grpcx",
            "application/grp",
            "application/json",
            "",
        ] {
            assert!(!Protocol::ByRequest.is_http2(&post(content)), "{content}");
            assert!(Protocol::H2c.is_http2(&post(content)), "{content}");
        }
        let mut get = post("application/grpc");
        *get.method_mut() = Method::GET;
        assert!(!Protocol::ByRequest.is_http2(&get));
    }
}
