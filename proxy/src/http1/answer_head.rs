//! The head of an answer as it is written (RFC 9112 sections 4 and 5).

use crate::stamps::Stamps;
use crate::upstream::{Lines, length, write_field};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, Response, StatusCode, Version};
use hyper::ext::ReasonPhrase;
use std::io::Write as _;

/// What is known of a body when its head is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Known {
    /// There is none.
    None,
    Bytes(u64),
    Unknown,
}

/// How the end of an answer's body is told (RFC 9112 section 6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// There is none, whatever the head says of its length.
    None,
    /// So many bytes are still to come.
    Length(u64),
    Chunked,
    /// It ends with the connection.
    Close,
}

/// What an answer has to be for the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) version: Version,
    pub(super) is_head: bool,
    /// Another request may follow.
    pub(super) may_be_kept: bool,
}

/// Writes it, with its fields as lines or of its map, behind what is there; answers how the body is to be framed, and whether another request may follow.
pub(super) fn write<B>(
    (response, lines): (&Response<B>, Option<&Lines>),
    known: Known,
    asked: Asked,
    stamps: &Stamps,
    to: &mut Vec<u8>,
) -> (Framing, bool) {
    let status = response.status();
    let is_switch = status == StatusCode::SWITCHING_PROTOCOLS;
    let is_old = asked.version == Version::HTTP_10;
    write_status(response, is_old, to);
    let fields = response.headers();
    let has_body = !asked.is_head
        && !is_switch
        && status != StatusCode::NO_CONTENT
        && status != StatusCode::NOT_MODIFIED;
    let mut framing = Framing::None;
    let mut has_length = is_switch;
    let (mut has_date, mut says_close) = (false, false);
    if let Some(lines) = lines {
        to.extend_from_slice(&lines.text);
        has_date = lines.has_date;
        // What they say is where the body ends: there is one, and no other framing.
        if let (true, Known::Bytes(bytes)) = (lines.has_length, known) {
            framing = Framing::Length(bytes);
        }
        has_length = lines.has_length;
    }
    for (name, value) in fields {
        if name == CONTENT_LENGTH {
            let told = match known {
                // To HEAD it says what there would be (RFC 9110 section 8.6).
                Known::None => {
                    let is_told = asked.is_head && length(value.as_bytes()).is_some();
                    is_told.then_some(Framing::None)
                }
                Known::Bytes(bytes) => Some(Framing::Length(bytes)),
                Known::Unknown => length(value.as_bytes()).map(Framing::Length),
            };
            let (false, Some(told)) = (has_length, told) else {
                continue;
            };
            (framing, has_length) = (told, true);
        } else if name == TRANSFER_ENCODING || (name == TRAILER && (is_old || !has_body)) {
            continue;
        } else if name == CONNECTION {
            says_close |= value.as_bytes().eq_ignore_ascii_case(b"close");
        } else if name == DATE {
            has_date = true;
        }
        write_field(name, value, to);
    }
    if !has_length {
        framing = match known {
            Known::Unknown if is_old || !has_body => Framing::Close,
            Known::Unknown => {
                to.extend_from_slice(b"transfer-encoding: chunked\r\n");
                Framing::Chunked
            }
            Known::None | Known::Bytes(0) => {
                if has_body {
                    to.extend_from_slice(b"content-length: 0\r\n");
                }
                Framing::None
            }
            Known::Bytes(bytes) => {
                if has_body || asked.is_head {
                    // Writing to a vector does not fail.
                    let _ = write!(to, "content-length: {bytes}\r\n");
                }
                Framing::Length(bytes)
            }
        };
    }
    if !has_body {
        framing = Framing::None;
    }
    let is_kept = asked.may_be_kept && !says_close && framing != Framing::Close;
    if !is_switch && !says_close && (!is_kept || is_old) {
        let connection: &[u8] = match is_kept {
            true => b"connection: keep-alive\r\n",
            false => b"connection: close\r\n",
        };
        to.extend_from_slice(connection);
    }
    if !has_date {
        write_field(&DATE, &stamps.date(), to);
    }
    to.extend_from_slice(b"\r\n");
    (framing, is_kept)
}

fn write_status<B>(response: &Response<B>, is_old: bool, to: &mut Vec<u8>) {
    let status = response.status();
    let reason = response.extensions().get::<ReasonPhrase>();
    if status == StatusCode::OK && reason.is_none() && !is_old {
        to.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    let version: &[u8] = match is_old {
        true => b"HTTP/1.0 ",
        false => b"HTTP/1.1 ",
    };
    to.extend_from_slice(version);
    to.extend_from_slice(status.as_str().as_bytes());
    to.push(b' ');
    to.extend_from_slice(match reason {
        Some(reason) => reason.as_bytes(),
        None => status.canonical_reason().unwrap_or("<none>").as_bytes(),
    });
    to.extend_from_slice(b"\r\n");
}

/// The trailers an answer announces by `Trailer`: no others may come.
pub(super) fn announced(fields: &HeaderMap) -> Vec<HeaderName> {
    let names = fields.get_all(TRAILER).iter();
    let names = names.flat_map(|names| names.as_bytes().split(|byte| *byte == b','));
    names
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Asked, Framing, Known, announced, write};
    use crate::stamps::Stamps;
    use http::{Response, Version};

    const NEW: Asked = Asked {
        version: Version::HTTP_11,
        is_head: false,
        may_be_kept: true,
    };
    const OLD: Asked = Asked {
        version: Version::HTTP_10,
        ..NEW
    };
    const HEAD: Asked = Asked {
        is_head: true,
        ..NEW
    };

    /// `fields` are those of the answer, and `expected` those that are written, but for the date.
    fn check(
        (status, fields, known): (u16, &str, Known),
        asked: Asked,
        expected: &str,
        framing: Framing,
    ) {
        let mut response = Response::builder().status(status);
        for (name, value) in fields.split('|').filter_map(|field| field.split_once(": ")) {
            response = response.header(name, value);
        }
        let mut written = Vec::new();
        let response = response.body(()).unwrap();
        let (told, is_kept) = write(
            (&response, None),
            known,
            asked,
            &Stamps::new(),
            &mut written,
        );
        let written = String::from_utf8(written).unwrap();
        let head = written.strip_suffix("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap();
        let minor = if asked.version == Version::HTTP_10 {
            0
        } else {
            1
        };
        assert!(
            first.starts_with(&format!("HTTP/1.{minor} {status} ")),
            "{first}"
        );
        let lines: Vec<_> = lines.filter(|line| !line.starts_with("date: ")).collect();
        assert_eq!(
            lines.join("|"),
            expected,
            "{status} {fields} {known:?} {asked:?}"
        );
        assert_eq!(told, framing, "{status} {fields} {known:?} {asked:?}");
        assert_eq!(
            is_kept,
            !expected.contains("connection: close"),
            "{expected}"
        );
    }

    #[test]
    fn the_end_of_a_body_is_told_once() {
        use Known::{Bytes, None, Unknown};
        let length = "content-length: 5";
        let chunked = "transfer-encoding: chunked";
        check((200, "", Bytes(5)), NEW, length, Framing::Length(5));
        check((200, length, Bytes(5)), NEW, length, Framing::Length(5));
        check((200, "", None), NEW, "content-length: 0", Framing::None);
        check((200, length, None), NEW, "content-length: 0", Framing::None);
        check((200, "", Unknown), NEW, chunked, Framing::Chunked);
        check((200, chunked, Unknown), NEW, chunked, Framing::Chunked);
        check((200, length, Unknown), NEW, length, Framing::Length(5));
        check(
            (200, "content-length: x", Unknown),
            NEW,
            chunked,
            Framing::Chunked,
        );
        check((304, length, None), NEW, "", Framing::None);
        check((204, "", None), NEW, "", Framing::None);
        check((101, "upgrade: x", None), NEW, "upgrade: x", Framing::None);
        check((200, length, None), HEAD, length, Framing::None);
        check((200, "", None), HEAD, "", Framing::None);
        check((200, "", Bytes(5)), HEAD, length, Framing::None);
        check((200, "", Unknown), HEAD, "", Framing::None);
    }

    #[test]
    fn clients_of_http_1_0_are_told_whether_another_request_may_follow() {
        let kept = "content-length: 5|connection: keep-alive";
        check((200, "", Known::Bytes(5)), OLD, kept, Framing::Length(5));
        let fields = "a: b|trailer: x";
        check(
            (200, fields, Known::Unknown),
            OLD,
            "a: b|connection: close",
            Framing::Close,
        );
        let asked = Asked {
            may_be_kept: false,
            ..OLD
        };
        let closed = "content-length: 0|connection: close";
        check((200, "", Known::None), asked, closed, Framing::None);
    }

    #[test]
    fn the_last_answer_says_so_once() {
        let closed = "connection: close|content-length: 0";
        check(
            (400, "connection: close", Known::None),
            NEW,
            closed,
            Framing::None,
        );
        let asked = Asked {
            may_be_kept: false,
            ..NEW
        };
        check(
            (400, "connection: close", Known::None),
            asked,
            closed,
            Framing::None,
        );
    }

    #[test]
    fn a_date_and_a_reason_of_its_own_pass() {
        let mut response = Response::builder()
            .status(299)
            .header("date", "today")
            .body(())
            .unwrap();
        let reason = hyper::ext::ReasonPhrase::from_static(b"Fine, Really");
        response.extensions_mut().insert(reason);
        let mut written = Vec::new();
        write(
            (&response, None),
            Known::None,
            NEW,
            &Stamps::new(),
            &mut written,
        );
        let expected = "HTTP/1.1 299 Fine, Really\r\ndate: today\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }

    #[test]
    fn trailers_are_announced_in_however_many_fields() {
        let response = Response::builder()
            .header("trailer", "X-Sum, Digest")
            .header("trailer", "a b,c")
            .body(())
            .unwrap();
        assert_eq!(announced(response.headers()), ["x-sum", "digest", "c"]);
    }
}
