//! The head of a request as it is written (RFC 9112 sections 3 and 5).

use crate::headers::Added;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Request};
use std::io::Write as _;

/// How the end of a request's body is told (RFC 9112 section 6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// There is no body.
    None,
    /// So many bytes are still to come.
    Length(u64),
    Chunked,
}

/// Writes it behind what is there. The fields say nothing of where the body ends: that is ours, once and for all.
pub(super) fn write<B>(
    request: &Request<B>,
    added: Option<&Added>,
    framing: Framing,
    to: &mut Vec<u8>,
) {
    to.extend_from_slice(request.method().as_str().as_bytes());
    to.push(b' ');
    let target = request.uri();
    to.extend_from_slice(target.path().as_bytes());
    if let Some(query) = target.query() {
        to.push(b'?');
        to.extend_from_slice(query.as_bytes());
    }
    to.extend_from_slice(b" HTTP/1.1\r\n");
    let mut has_length = false;
    for (name, value) in request.headers() {
        if name == CONTENT_LENGTH {
            has_length = true;
        } else if name != TRANSFER_ENCODING {
            write_field(name, value, to);
        }
    }
    if let Some(added) = added {
        added.write(to);
    }
    match framing {
        // Some upstreams want to be told, and clients do: with PUT and POST (RFC 9110 section 8.6).
        Framing::None if has_length => to.extend_from_slice(b"content-length: 0\r\n"),
        Framing::None => {}
        Framing::Length(bytes) => {
            // Writing to a vector does not fail.
            let _ = write!(to, "content-length: {bytes}\r\n");
        }
        Framing::Chunked => to.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    to.extend_from_slice(b"\r\n");
}

/// Writes one field behind what is there.
pub(crate) fn write_field(name: &HeaderName, value: &HeaderValue, to: &mut Vec<u8>) {
    to.extend_from_slice(name.as_ref());
    to.extend_from_slice(b": ");
    to.extend_from_slice(value.as_bytes());
    to.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::{Framing, write};
    use http::Request;

    fn check(request: http::request::Builder, framing: Framing, expected: &str) {
        let mut written = Vec::new();
        write(&request.body(()).unwrap(), None, framing, &mut written);
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }

    #[test]
    fn the_end_of_a_body_is_told_once_whatever_the_fields_say() {
        let post = || {
            Request::post("/a?b=c")
                .header("Host", "app")
                .header("Content-Length", "7")
                .header("Content-Length", "8")
                .header("Transfer-Encoding", "chunked")
        };
        let head = "POST /a?b=c HTTP/1.1\r\nhost: app\r\n";
        for (framing, end) in [
            (Framing::Length(5), "content-length: 5\r\n\r\n"),
            (Framing::Chunked, "transfer-encoding: chunked\r\n\r\n"),
            (Framing::None, "content-length: 0\r\n\r\n"),
        ] {
            check(post(), framing, &format!("{head}{end}"));
        }
        let get = Request::get("/").header("Host", "app");
        check(get, Framing::None, "GET / HTTP/1.1\r\nhost: app\r\n\r\n");
    }

    #[test]
    fn a_target_is_written_as_it_came() {
        for (target, expected) in [("*", "*"), ("/%2F//?", "/%2F//?"), ("/?a?b=/", "/?a?b=/")] {
            let request = Request::options(target);
            let expected = format!("OPTIONS {expected} HTTP/1.1\r\n\r\n");
            check(request, Framing::None, &expected);
        }
    }
}
