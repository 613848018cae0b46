//! The head of a request (RFC 9112 sections 3 and 5), read by `httparse` and judged here.

use crate::chunked::has_bare_line_feed;
use crate::upstream::{Asks, length};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use httparse::{Error, ParserConfig, Request, Status};
use std::mem::MaybeUninit;

/// Most fields of a request, as nginx (by its bytes), haproxy and hyper have it, about.
const MAX_FIELDS: usize = 100;
/// Longest target: what the library `http` can hold.
const MAX_TARGET_BYTES: usize = u16::MAX as usize - 1;

/// What a head says, beside its fields.
#[derive(Debug)]
pub(super) struct RequestHead {
    pub(super) method: Method,
    pub(super) target: Uri,
    pub(super) version: Version,
    pub(super) length: BodyLength,
    /// Another request may follow.
    pub(super) may_be_kept: bool,
    /// The body is sent when it is asked for (RFC 9110 section 10.1.1).
    pub(super) is_held_back: bool,
    /// Trailers of the answer are understood (RFC 9110 section 10.1.4).
    pub(super) takes_trailers: bool,
    /// How long it is.
    pub(super) bytes: usize,
}

/// How the end of a request's body is found (RFC 9112 section 6.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BodyLength {
    Exactly(u64),
    Chunked,
}

/// Why a head is not read. What follows it is not, either: nobody knows where it would begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    Malformed,
    TargetTooLong,
    TooLarge,
}

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Refusal::Malformed => StatusCode::BAD_REQUEST,
            Refusal::TargetTooLong => StatusCode::URI_TOO_LONG,
            Refusal::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        }
    }
}

/// Reads the head these bytes begin with, and puts its fields into an empty map; none if it is not whole yet. The values share
/// the memory of the bytes. `more` is for how many fields there is to be room beside.
pub(super) fn parse(
    bytes: &Bytes,
    max_bytes: usize,
    more: usize,
    fields: &mut HeaderMap,
) -> Result<Option<RequestHead>, Refusal> {
    let mut room = [MaybeUninit::uninit(); MAX_FIELDS];
    let mut head = Request::new(&mut []);
    let parsed =
        ParserConfig::default().parse_request_with_uninit_headers(&mut head, bytes, &mut room);
    let end = match parsed {
        Ok(Status::Complete(end)) if end <= max_bytes => match bytes.get(..end) {
            Some(head) if !has_bare_line_feed(head) => end,
            _ => return Err(Refusal::Malformed),
        },
        Ok(Status::Partial) if bytes.len() < max_bytes => return Ok(None),
        Ok(_) | Err(Error::TooManyHeaders) => return Err(Refusal::TooLarge),
        Err(_) => return Err(Refusal::Malformed),
    };
    let (Some(method), Some(target)) = (head.method, head.path) else {
        return Err(Refusal::Malformed);
    };
    if target.len() > MAX_TARGET_BYTES {
        return Err(Refusal::TargetTooLong);
    }
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::Malformed)?;
    let target = Uri::from_maybe_shared(bytes.slice_ref(target.as_bytes()));
    let target = target.map_err(|_| Refusal::Malformed)?;
    let version = match head.version {
        Some(0) => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    let mut said = Said::default();
    let mut asks = Asks::default();
    let (mut is_held_back, mut takes_trailers) = (false, false);
    fields.reserve(head.headers.len() + more);
    for field in head.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let name = name.map_err(|_| Refusal::Malformed)?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(field.value));
        let value = value.map_err(|_| Refusal::Malformed)?;
        if name == CONTENT_LENGTH {
            // Said again, it is told once.
            if said.length(&value)? {
                continue;
            }
        } else if name == TRANSFER_ENCODING {
            said.coding(&value, version)?;
        } else if name == CONNECTION {
            asks.connection(value.as_bytes());
        } else if name == EXPECT {
            is_held_back = value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        } else if name == TE {
            takes_trailers |= names(&value, b"trailers");
        }
        fields
            .try_append(name, value)
            .map_err(|_| Refusal::TooLarge)?;
    }
    let length = said.end()?;
    if said.is_coded {
        fields.remove(CONTENT_LENGTH);
    }
    Ok(Some(RequestHead {
        method,
        target,
        version,
        length,
        may_be_kept: asks.may_be_kept(version) && !said.is_double(),
        is_held_back: is_held_back
            && version == Version::HTTP_11
            && length != BodyLength::Exactly(0),
        takes_trailers,
        bytes: end,
    }))
}

/// Whether a list has this word.
fn names(value: &HeaderValue, word: &[u8]) -> bool {
    let mut words = value.as_bytes().split(|byte| *byte == b',');
    words.any(|one| one.trim_ascii().eq_ignore_ascii_case(word))
}

/// What the fields say of the body.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    length: Option<u64>,
    is_coded: bool,
    /// The last coding is `chunked`.
    is_chunked: bool,
}

impl Said {
    /// Another `Content-Length`; answers whether it was said before. One that is none, or another, is refused, also beside a
    /// coding.
    fn length(&mut self, value: &HeaderValue) -> Result<bool, Refusal> {
        let length = length(value.as_bytes()).ok_or(Refusal::Malformed)?;
        match self.length.replace(length) {
            Some(before) if before != length => Err(Refusal::Malformed),
            before => Ok(before.is_some()),
        }
    }

    /// Another `Transfer-Encoding`. Which ones are taken beside `chunked` is for the forwarding to say; one that does not end
    /// in it has no end (RFC 9112 section 6.3).
    fn coding(&mut self, value: &HeaderValue, version: Version) -> Result<(), Refusal> {
        if version == Version::HTTP_10 {
            return Err(Refusal::Malformed);
        }
        let last = value.as_bytes().rsplit(|byte| *byte == b',').next();
        self.is_chunked =
            last.is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"));
        self.is_coded = true;
        Ok(())
    }

    fn end(&self) -> Result<BodyLength, Refusal> {
        match (self.is_coded, self.is_chunked) {
            (true, true) => Ok(BodyLength::Chunked),
            (true, false) => Err(Refusal::Malformed),
            (false, _) => Ok(BodyLength::Exactly(self.length.unwrap_or(0))),
        }
    }

    /// Two say where it ends: chunks count, and nothing behind them is believed (RFC 9112 section 6.1).
    fn is_double(&self) -> bool {
        self.is_coded && self.length.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::{BodyLength, MAX_FIELDS, Refusal, RequestHead, parse};
    use bytes::Bytes;
    use http::{HeaderMap, Version};
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    const MAX_BYTES: usize = 64 * 1024;

    fn parsed(head: &[u8]) -> Result<Option<(RequestHead, HeaderMap)>, Refusal> {
        let mut fields = HeaderMap::new();
        let bytes = Bytes::copy_from_slice(head);
        let head = parse(&bytes, MAX_BYTES, 0, &mut fields)?;
        Ok(head.map(|head| (head, fields)))
    }

    fn whole(lines: &str) -> (RequestHead, HeaderMap) {
        parsed(format!("{lines}\r\n\r\n").as_bytes())
            .unwrap()
            .unwrap()
    }

    #[test]
    fn a_head_is_read_with_what_is_behind_it_left_alone() {
        let head = "\r\nPOST /a?b HTTP/1.1\r\nA: 1\r\nB:  2 \r\na: 3\r\nContent-Length: 4\r\n\r\n";
        let (read, fields) = parsed(format!("{head}body").as_bytes()).unwrap().unwrap();
        assert_eq!(read.method, "POST");
        assert_eq!(read.target, "/a?b");
        assert_eq!(read.version, Version::HTTP_11);
        assert_eq!(read.bytes, head.len());
        assert_eq!(read.length, BodyLength::Exactly(4));
        let all: Vec<_> = fields.get_all("a").iter().collect();
        assert_eq!(all, ["1", "3"]);
        assert_eq!(fields.get("b").unwrap(), "2");
    }

    #[test]
    fn where_a_body_ends_and_what_follows_it() {
        use BodyLength::{Chunked, Exactly};
        for (lines, length, may_be_kept) in [
            ("GET / HTTP/1.1", Exactly(0), true),
            ("GET / HTTP/1.1\r\nConnection: x, Close", Exactly(0), false),
            (
                "GET / HTTP/1.1\r\nConnection: close\r\nConnection: keep-alive",
                Exactly(0),
                false,
            ),
            ("GET / HTTP/1.0", Exactly(0), false),
            ("GET / HTTP/1.0\r\nConnection: keep-alive", Exactly(0), true),
            ("GET / HTTP/1.1\r\nContent-Length: 5", Exactly(5), true),
            (
                "GET / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5",
                Exactly(5),
                true,
            ),
            (
                "GET / HTTP/1.1\r\nTransfer-Encoding: Chunked",
                Chunked,
                true,
            ),
            (
                "GET / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
                Chunked,
                false,
            ),
            (
                "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
                Chunked,
                false,
            ),
        ] {
            let (read, fields) = whole(lines);
            assert_eq!(
                (read.length, read.may_be_kept),
                (length, may_be_kept),
                "{lines}"
            );
            let lengths = fields.get_all("content-length").iter().count();
            let expected = usize::from(matches!(length, Exactly(1..)));
            assert_eq!(lengths, expected, "{lines}");
        }
    }

    #[test]
    fn only_a_body_that_may_come_is_held_back() {
        let expect = "Expect: 100-Continue\r\nContent-Length:";
        assert!(
            whole(&format!("PUT / HTTP/1.1\r\n{expect} 1"))
                .0
                .is_held_back
        );
        assert!(
            !whole(&format!("PUT / HTTP/1.1\r\n{expect} 0"))
                .0
                .is_held_back
        );
        assert!(
            !whole(&format!("PUT / HTTP/1.0\r\n{expect} 1"))
                .0
                .is_held_back
        );
    }

    #[test]
    fn trailers_are_for_those_who_take_them() {
        assert!(
            whole("GET / HTTP/1.1\r\nTE: gzip, Trailers")
                .0
                .takes_trailers
        );
        assert!(!whole("GET / HTTP/1.1\r\nTE: trailers;q=0").0.takes_trailers);
    }

    fn check(lines: &str, expected: Refusal) {
        let refused = parsed(format!("{lines}\r\n\r\n").as_bytes());
        assert_eq!(refused.err(), Some(expected), "{lines:.60}");
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for lines in [
            "GET / HTTP/2.0",
            "GET / HTTP/1.1\r\nno colon",
            "GET / HTTP/1.1\r\nA : 1",
            "GET / HTTP/1.1\r\nA: 1\r\n folded",
            "GET / HTTP/1.1\r\nA: 1\0",
            "GET / HTTP/1.1\r\nA: 1\rB: 2",
            "GET / HTTP/1.1\nA: 1",
            "GET / HTTP/1.1\r\nA: 1\nB: 2",
            "GET / HTTP/1.1\r\nA: 1\n",
            "\nGET / HTTP/1.1\r\nA: 1",
            "GET / HTTP/1.1\r\nContent-Length: 4, 4",
            "GET / HTTP/1.1\r\nContent-Length: +4",
            "GET / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: x",
            "GET / HTTP/1.0\r\nTransfer-Encoding: chunked",
            "GET http:// HTTP/1.1",
        ] {
            check(lines, Refusal::Malformed);
        }
        let long = "x".repeat(MAX_BYTES);
        let many = "\r\nA: 1".repeat(MAX_FIELDS + 1);
        check(&format!("GET / HTTP/1.1{many}"), Refusal::TooLarge);
        check(&format!("GET / HTTP/1.1\r\nA: {long}"), Refusal::TooLarge);
        check(&format!("GET /{long} HTTP/1.1"), Refusal::TooLarge);
        // Nor is it waited for the end of what is too long already.
        let endless = format!("GET / HTTP/1.1\r\nA: {long}");
        assert_eq!(parsed(endless.as_bytes()).err(), Some(Refusal::TooLarge));
        let target = format!("GET /{long} HTTP/1.1\r\n\r\n");
        let refused = parse(
            &Bytes::from(target),
            2 * MAX_BYTES,
            0,
            &mut HeaderMap::new(),
        );
        assert_eq!(refused.err(), Some(Refusal::TargetTooLong));
    }

    proptest! {
        #[test]
        fn a_part_of_a_head_is_none_yet_and_no_bytes_panic(cut in 0_usize..50, odd: Vec<u8>) {
            let head = b"GET /path HTTP/1.1\r\nHost: app\r\nX-Other: abc\r\n\r\n";
            let part = &head[..cut.min(head.len() - 1)];
            prop_assert!(parsed(part).unwrap().is_none());
            let whole = [head.as_slice(), &odd].concat();
            prop_assert_eq!(parsed(&whole).unwrap().unwrap().0.bytes, head.len());
            let _ = parsed(&[part, &odd].concat());
        }
    }
}
