//! The fields of an answer as the lines they came in. An answer that only passes through needs no map of them: making one and
//! writing it again costs more than all else that is done with it.

use super::Malformed;
use super::answer_head::Asks;
use super::body_length::Said;
use super::known_name::is;
use crate::packing::is_compressible;
use std::mem::take;
use std::ops::Range;

/// What lines are good for: where that is wanted, there is a map instead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Takes {
    /// What can be compressed may be, and what is said of it changes.
    pub(crate) may_be_packed: bool,
}

/// The fields of an answer, ready to be written to a client of HTTP/1, without those that concern only the upstream's
/// connection to us.
#[derive(Debug)]
pub(crate) struct Lines {
    /// Each with the end of its line.
    pub(crate) text: Vec<u8>,
    pub(crate) has_date: bool,
    pub(crate) has_length: bool,
}

/// What a field is for us. Names that are of no concern here are not told from each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Connection,
    KeepAlive,
    ContentLength,
    ContentType,
    Date,
    /// One with which a map is needed.
    Odd,
    Other,
}

impl Kind {
    fn of(name: &[u8]) -> Kind {
        // By its length first: most names are as long as none of these.
        match name.len() {
            2 if is(name, b"te") => Kind::Odd,
            4 if is(name, b"date") => Kind::Date,
            7 if is(name, b"upgrade") || is(name, b"trailer") => Kind::Odd,
            10 if is(name, b"connection") => Kind::Connection,
            10 if is(name, b"keep-alive") => Kind::KeepAlive,
            12 if is(name, b"content-type") => Kind::ContentType,
            14 if is(name, b"content-length") => Kind::ContentLength,
            14 if is(name, b"http2-settings") => Kind::Odd,
            16 if is(name, b"proxy-connection") => Kind::Odd,
            17 if is(name, b"transfer-encoding") => Kind::Odd,
            18 if is(name, b"proxy-authenticate") => Kind::Odd,
            19 if is(name, b"proxy-authorization") => Kind::Odd,
            _ => Kind::Other,
        }
    }
}

/// The lines of the head that these bytes begin with, if lines will do; what they say of the body and of the connection is noted.
///
/// Names stay as the app wrote them: there are clients that look at the letters.
pub(super) fn lines(
    bytes: &[u8],
    fields: &[httparse::Header<'_>],
    takes: Takes,
    said: &mut Said,
    asks: &mut Asks,
) -> Result<Option<Lines>, Malformed> {
    let (mut has_date, mut has_length) = (false, false);
    let mut copied = Copied::new(bytes, fields);
    for field in fields {
        match Kind::of(field.name.as_bytes()) {
            Kind::Other => {}
            Kind::Date => has_date = true,
            Kind::ContentLength => {
                said.length(field.value)?;
                // Said twice, it is told once.
                if said.repeated().is_some() {
                    return Ok(None);
                }
                has_length = true;
            }
            Kind::ContentType => {
                if takes.may_be_packed && is_compressible(field.value) {
                    return Ok(None);
                }
            }
            Kind::Connection => {
                if !asks.usual(field.value) {
                    // It may name other fields.
                    return Ok(None);
                }
                continue;
            }
            Kind::KeepAlive => continue,
            Kind::Odd => return Ok(None),
        }
        copied.add(field);
    }
    Ok(Some(Lines {
        text: copied.text(),
        has_date,
        has_length,
    }))
}

/// Lines that are copied, those that follow each other all at once.
struct Copied<'a> {
    bytes: &'a [u8],
    /// Of the bytes, what is to be copied next.
    run: Range<usize>,
    text: Vec<u8>,
}

impl<'a> Copied<'a> {
    fn new(bytes: &'a [u8], fields: &[httparse::Header<'_>]) -> Copied<'a> {
        let lengths = fields
            .iter()
            .map(|field| field.name.len() + field.value.len() + 4);
        Copied {
            bytes,
            run: 0..0,
            text: Vec::with_capacity(lengths.sum()),
        }
    }

    fn add(&mut self, field: &httparse::Header<'_>) {
        let start = self.place(field.name.as_bytes());
        let name_end = start.saturating_add(field.name.len());
        let value = self.place(field.value);
        let value_end = value.saturating_add(field.value.len());
        let end = value_end.saturating_add(2);
        // As it is to be written: blanks around the value are none of it (RFC 9112 section 5).
        let is_usual = value == name_end.saturating_add(2)
            && self.bytes.get(name_end..value) == Some(b": ")
            && self.bytes.get(value_end..end) == Some(b"\r\n");
        if is_usual && self.run.end == start {
            self.run.end = end;
            return;
        }
        self.copy_run();
        if is_usual {
            self.run = start..end;
            return;
        }
        self.text.extend_from_slice(field.name.as_bytes());
        self.text.extend_from_slice(b": ");
        self.text.extend_from_slice(field.value);
        self.text.extend_from_slice(b"\r\n");
    }

    /// Where in the bytes these are. What is no part of them, as an empty value may be, is somewhere outside.
    fn place(&self, part: &[u8]) -> usize {
        (part.as_ptr() as usize).wrapping_sub(self.bytes.as_ptr() as usize)
    }

    fn copy_run(&mut self) {
        let run = take(&mut self.run);
        self.text
            .extend_from_slice(self.bytes.get(run).unwrap_or_default());
    }

    fn text(mut self) -> Vec<u8> {
        self.copy_run();
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer_head::parse;
    use super::Takes;
    use bytes::Bytes;
    use http::HeaderMap;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
    use proptest::sample::select;

    /// The fields as lines, and all else that is said; none if a map is needed.
    fn read(head: &str, may_be_packed: bool) -> Option<String> {
        let mut fields = HeaderMap::new();
        fields.insert("left", "over".parse().unwrap());
        let bytes = Bytes::copy_from_slice(head.as_bytes());
        let takes = Some(Takes { may_be_packed });
        let head = parse(&bytes, false, takes, &mut fields).unwrap().unwrap();
        let lines = head.lines?;
        assert!(fields.is_empty(), "{fields:?}");
        Some(String::from_utf8(lines.text).unwrap())
    }

    #[test]
    fn lines_pass_as_they_are_but_for_those_of_the_connection() {
        let head = "HTTP/1.1 200 OK\r\nServer:  x \r\nCONNECTION: Keep-Alive\r\nKeep-Alive: timeout=5\r\n\
                    Set-Cookie: a\r\nContent-Type: text/html\r\nSet-Cookie: b\r\nContent-Length: 5\r\n\r\n";
        let expected = "Server: x\r\nSet-Cookie: a\r\nContent-Type: text/html\r\nSet-Cookie: b\r\nContent-Length: 5\r\n";
        assert_eq!(read(head, false).as_deref(), Some(expected));
    }

    #[test]
    fn a_map_is_made_where_more_is_to_be_done() {
        for (line, may_be_packed) in [
            ("Connection: X-Hop", false),
            ("Connection: close, X-Hop", false),
            ("Transfer-Encoding: chunked", false),
            ("Content-Length: 5\r\nContent-Length: 5", false),
            ("Content-Length: 5, 5", false),
            ("Trailer: X", false),
            ("TE: x", false),
            ("Upgrade: h2c", false),
            ("HTTP2-Settings: x", false),
            ("Proxy-Connection: x", false),
            ("Proxy-Authenticate: x", false),
            ("proxy-Authorization: x", false),
            ("Content-Type: text/html", true),
        ] {
            let head = format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n");
            assert_eq!(read(&head, may_be_packed), None, "{line}");
        }
        for status in [
            "103 Early Hints",
            "101 Switching Protocols",
            "204 No Content",
            "304 Not Modified",
        ] {
            let head = format!("HTTP/1.1 {status}\r\nA: b\r\n\r\n");
            assert_eq!(read(&head, false), None, "{status}");
        }
        let image = "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n";
        assert_eq!(
            read(image, true).as_deref(),
            Some("Content-Type: image/png\r\n")
        );
    }

    proptest! {
        /// Whatever the fields are, both ways say the same of them.
        #[test]
        fn lines_and_map_agree(
            lines in proptest::collection::vec(select(vec![
                "A: 1", "a:2", "B: \t x y \t", "Content-Length: 5", "Content-Length: 6", "Content-Length: +5",
                "Connection: close", "Connection: Keep-Alive", "Connection: a", "Keep-Alive: x", "Date: today",
                "Transfer-Encoding: chunked", "Transfer-Encoding: gzip", "Content-Type: image/png", "Trailer: a", "X-\u{7f}: 1",
                "Odd: \u{80}", "Bad: \u{1}", "Te: x", "Proxy-Authenticate: x", "Upgrade: x",
            ]), 0..5),
            status in select(vec!["HTTP/1.1 200 OK", "HTTP/1.0 200 OK", "HTTP/1.1 404 Oh", "HTTP/1.1 304 N", "HTTP/1.1 103 E"]),
        ) {
            let head = [&[status], &*lines, &["", ""]].concat().join("\r\n");
            let bytes = Bytes::from(head);
            let (mut map, mut other) = (HeaderMap::new(), HeaderMap::new());
            let takes = Some(Takes { may_be_packed: false });
            let expected = parse(&bytes, false, None, &mut map);
            let got = parse(&bytes, false, takes, &mut other);
            prop_assert_eq!(got.is_err(), expected.is_err());
            let (Ok(Some(got)), Ok(Some(expected))) = (got, expected) else {
                return Ok(());
            };
            prop_assert_eq!(
                (got.status, got.length, got.may_be_kept, got.bytes),
                (expected.status, expected.length, expected.may_be_kept, expected.bytes)
            );
            let Some(lines) = got.lines else {
                prop_assert_eq!(other, map);
                return Ok(());
            };
            prop_assert!(other.is_empty());
            crate::headers::clean_response(&mut map);
            prop_assert_eq!(lines.has_date, map.contains_key("date"));
            prop_assert_eq!(lines.has_length, map.contains_key("content-length"));
            let again = [b"HTTP/1.1 200 OK\r\n".as_slice(), &lines.text, b"\r\n"].concat();
            let mut read = HeaderMap::new();
            parse(&Bytes::from(again), false, None, &mut read).unwrap().unwrap();
            prop_assert_eq!(read, map);
        }
    }
}
