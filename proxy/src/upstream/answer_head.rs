//! The head of an answer (RFC 9112 sections 4 and 5), read by `httparse` and judged here.

use super::Malformed;
use super::answer_lines::{Lines, Takes, lines};
use super::body_length::{BodyLength, Said};
use super::known_name::is;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use httparse::{ParserConfig, Response, Status};
use hyper::ext::ReasonPhrase;
use std::mem::MaybeUninit;

/// Largest head of an answer, in bytes. nginx takes 4 or 8 KiB (`proxy_buffer_size`), haproxy 16.
pub(super) const MAX_BYTES: usize = 64 * 1024;
/// Most fields of an answer, as hyper and haproxy have it.
const MAX_FIELDS: usize = 100;

/// What a head says, beside its fields.
#[derive(Debug)]
pub(super) struct AnswerHead {
    pub(super) status: StatusCode,
    /// The words behind the status, if they are others than usual.
    pub(super) reason: Option<ReasonPhrase>,
    pub(super) length: BodyLength,
    /// Another request may be sent over the connection afterwards.
    pub(super) may_be_kept: bool,
    /// Its fields, if they are not in the map.
    pub(super) lines: Option<Lines>,
    /// How long it is.
    pub(super) bytes: usize,
}

/// Reads the head these bytes begin with, and puts its fields into a map in place of what is there; none if it is not whole
/// yet. The values share the memory of the bytes. Where lines `takes` and they will do, the map is left empty.
pub(super) fn parse(
    bytes: &Bytes,
    answers_head: bool,
    takes: Option<Takes>,
    fields: &mut HeaderMap,
) -> Result<Option<AnswerHead>, Malformed> {
    let mut room = [MaybeUninit::uninit(); MAX_FIELDS];
    let mut head = Response::new(&mut []);
    let parsed =
        ParserConfig::default().parse_response_with_uninit_headers(&mut head, bytes, &mut room);
    let length = match parsed {
        Ok(Status::Complete(length)) if length <= MAX_BYTES => length,
        Ok(Status::Partial) if bytes.len() < MAX_BYTES => return Ok(None),
        Ok(_) | Err(_) => return Err(Malformed),
    };
    let status = head.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(Malformed)?;
    let version = match head.version {
        Some(0) => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    let mut said = Said::default();
    let mut asks = Asks::default();
    fields.clear();
    let has_body = !(status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED);
    let lines = match takes.filter(|_| has_body) {
        Some(takes) => lines(bytes, head.headers, takes, &mut said, &mut asks)?,
        None => None,
    };
    if lines.is_none() {
        (said, asks) = (Said::default(), Asks::default());
        add(bytes, &head, status, (&mut said, &mut asks), fields)?;
    }
    // RFC 9112 section 6.1: whoever sends this does not know what it says.
    if said.is_chunked() && version == Version::HTTP_10 {
        return Err(Malformed);
    }
    if let Some(length) = said.repeated() {
        fields.insert(CONTENT_LENGTH, length.into());
    }
    let (end, is_clear) = said.end(status, answers_head)?;
    Ok(Some(AnswerHead {
        status,
        reason: head.reason.and_then(|reason| unusual(status, reason)),
        length: end,
        may_be_kept: asks.may_be_kept(version) && is_clear && end != BodyLength::UntilClose,
        lines,
        bytes: length,
    }))
}

/// Puts the fields into an empty map, and notes what they say of the body and of the connection.
fn add(
    bytes: &Bytes,
    head: &Response<'_, '_>,
    status: StatusCode,
    (said, asks): (&mut Said, &mut Asks),
    fields: &mut HeaderMap,
) -> Result<(), Malformed> {
    fields.reserve(head.headers.len());
    for field in head.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Malformed)?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(field.value));
        let value = value.map_err(|_| Malformed)?;
        // Behind an interim answer there is no body, whatever it says.
        if name == CONTENT_LENGTH && !status.is_informational() {
            said.length(value.as_bytes())?;
        } else if name == TRANSFER_ENCODING && !status.is_informational() {
            said.coding(value.as_bytes());
        } else if name == CONNECTION {
            asks.connection(value.as_bytes());
        }
        fields.try_append(name, value).map_err(|_| Malformed)?;
    }
    Ok(())
}

/// What `Connection` asks for, in however many fields.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asks {
    to_close: bool,
    to_keep: bool,
}

impl Asks {
    /// What one of the fields says.
    pub(crate) fn connection(&mut self, value: &[u8]) {
        if self.usual(value) {
            return;
        }
        for option in value.split(|byte| *byte == b',') {
            let option = option.trim_ascii();
            self.to_close |= option.eq_ignore_ascii_case(b"close");
            self.to_keep |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// The same of one of the two values that nearly all are; answers whether it is.
    pub(super) fn usual(&mut self, value: &[u8]) -> bool {
        let (close, keep) = (is(value, b"close"), is(value, b"keep-alive"));
        self.to_close |= close;
        self.to_keep |= keep;
        close || keep
    }

    /// RFC 9112 section 9.3.
    pub(crate) fn may_be_kept(self, version: Version) -> bool {
        !self.to_close && (version == Version::HTTP_11 || self.to_keep)
    }
}

fn unusual(status: StatusCode, reason: &str) -> Option<ReasonPhrase> {
    if reason.is_empty() || Some(reason) == status.canonical_reason() {
        return None;
    }
    ReasonPhrase::try_from(reason.to_owned()).ok()
}

#[cfg(test)]
mod tests {
    use super::{AnswerHead, MAX_BYTES, MAX_FIELDS, parse};
    use crate::upstream::Malformed;
    use crate::upstream::body_length::BodyLength;
    use bytes::Bytes;
    use http::HeaderMap;
    use proptest::prelude::{prop_assert, proptest};

    fn parsed(head: &str) -> Result<Option<(AnswerHead, HeaderMap)>, Malformed> {
        let mut fields = HeaderMap::new();
        let bytes = Bytes::copy_from_slice(head.as_bytes());
        let head = parse(&bytes, false, None, &mut fields)?;
        Ok(head.map(|head| (head, fields)))
    }

    #[test]
    fn a_head_is_read_with_what_is_behind_it_left_alone() {
        let head =
            "HTTP/1.1 299 Fine, Really\r\nA: 1\r\nB:  2 \r\na: 3\r\nContent-Length: 4\r\n\r\n";
        let (read, fields) = parsed(&format!("{head}body")).unwrap().unwrap();
        assert_eq!(read.status.as_u16(), 299);
        assert_eq!(read.bytes, head.len());
        assert_eq!(read.length, BodyLength::Exactly(4));
        assert!(read.may_be_kept);
        assert_eq!(read.reason.unwrap().as_bytes(), b"Fine, Really");
        let all: Vec<_> = fields.get_all("a").iter().collect();
        assert_eq!(all, ["1", "3"]);
        assert_eq!(fields.get("b").unwrap(), "2");
        let (usual, _) = parsed("HTTP/1.1 200 OK\r\n\r\n").unwrap().unwrap();
        assert!(usual.reason.is_none());
    }

    #[test]
    fn a_length_that_is_repeated_is_passed_on_once() {
        for lengths in [
            "Content-Length: 4\r\nContent-Length: 4",
            "Content-Length: 4, 4",
        ] {
            let (read, fields) = parsed(&format!("HTTP/1.1 200 OK\r\n{lengths}\r\n\r\n"))
                .unwrap()
                .unwrap();
            assert_eq!(read.length, BodyLength::Exactly(4));
            let lengths: Vec<_> = fields.get_all("content-length").iter().collect();
            assert_eq!(lengths, ["4"]);
        }
    }

    #[test]
    fn which_connections_are_kept() {
        for (head, expected) in [
            ("1.1 200 OK\r\nContent-Length: 0", true),
            (
                "1.1 200 OK\r\nContent-Length: 0\r\nConnection: close",
                false,
            ),
            (
                "1.1 200 OK\r\nContent-Length: 0\r\nConnection: x\r\nConnection: keep-alive, Close",
                false,
            ),
            ("1.1 200 OK\r\nTransfer-Encoding: chunked", true),
            (
                "1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0",
                false,
            ),
            ("1.1 200 OK", false),
            ("1.1 204 No Content", true),
            ("1.0 200 OK\r\nContent-Length: 0", false),
            (
                "1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive",
                true,
            ),
            ("1.0 200 OK\r\nConnection: keep-alive", false),
        ] {
            let (read, _) = parsed(&format!("HTTP/{head}\r\n\r\n")).unwrap().unwrap();
            assert_eq!(read.may_be_kept, expected, "{head}");
        }
    }

    #[test]
    fn what_is_no_head_is_refused() {
        let many = "A: 1\r\n".repeat(MAX_FIELDS + 1);
        let long = format!("A: {}\r\n", "x".repeat(MAX_BYTES));
        for head in [
            "220 mail.example ESMTP\r\n",
            "HTTP/2 200 OK\r\n",
            "HTTP/1.1 20 OK\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n",
            "HTTP/1.1 200 OK\r\nA : 1\r\n",
            "HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n",
            "HTTP/1.1 200 OK\r\nA: 1\0\r\n",
            "HTTP/1.1 200 OK\r\nA: 1\rB: 2\r\n",
            "HTTP/1.1 099 OK\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n",
            &format!("HTTP/1.1 200 OK\r\n{many}"),
            &format!("HTTP/1.1 200 OK\r\n{long}"),
        ] {
            assert_eq!(
                parsed(&format!("{head}\r\n")).err(),
                Some(Malformed),
                "{head:.60}"
            );
        }
        // Nor is it waited for the end of what is too long already.
        let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(MAX_BYTES));
        assert_eq!(parsed(&endless).err(), Some(Malformed));
    }

    proptest! {
        #[test]
        fn a_part_of_a_head_is_none_yet_and_no_bytes_panic(cut in 0_usize..60, odd: Vec<u8>) {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Other: abc\r\n\r\n";
            let part = head.get(..cut.min(head.len() - 1)).unwrap();
            prop_assert!(parsed(part).unwrap().is_none());
            let mut bytes = part.as_bytes().to_vec();
            bytes.extend(odd);
            let _ = parse(&Bytes::from(bytes), false, None, &mut HeaderMap::new());
        }
    }
}
