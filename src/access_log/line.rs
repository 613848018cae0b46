//! One record as one line of JSON.
//!
//! Written by hand: at tens of thousands of lines a second the general way would cost as much as the proxy does.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mini_proxy::{AccessRecord, Cut, HttpVersion};

use crate::model::Timestamp;

/// What nginx logs when the client has left before there was an answer; its operators know it.
const CLIENT_LEFT: u16 = 499;
/// How much of an upstream's id is shown: as Docker shows those of containers.
const ID_CHARACTERS: usize = 12;

/// Writes lines, and remembers how the present second is written.
#[derive(Debug, Default)]
pub(super) struct LineWriter {
    second: u64,
    date: String,
}

impl LineWriter {
    /// Appends a record to `out`, with its line feed. A field that does not apply is left out.
    pub(super) fn write(&mut self, record: &AccessRecord<'_>, out: &mut Vec<u8>) {
        self.write_time(record.at, out);
        let text = |out: &mut Vec<u8>, key: &str, value: Option<&str>| {
            if let Some(value) = value {
                write_key(key, out);
                write_text(value, out);
            }
        };
        text(out, "app", record.service.as_deref());
        text(out, "id", record.request_id.as_deref());
        text(out, "client", Some(&record.client));
        text(
            out,
            "scheme",
            Some(if record.is_https { "https" } else { "http" }),
        );
        if let Some(port) = record.own_port {
            write_number("port", u64::from(port), out);
        }
        text(out, "protocol", Some(protocol(record.version)));
        text(out, "upgrade", record.upgrade.as_deref());
        text(out, "method", Some(&record.method));
        text(out, "host", Some(&record.host));
        text(out, "path", Some(&record.path));
        write_number(
            "status",
            u64::from(record.status.unwrap_or(CLIENT_LEFT)),
            out,
        );
        write_number("bytes_in", record.request_bytes, out);
        write_number("bytes_out", record.response_bytes, out);
        write_milliseconds("duration_ms", record.duration, out);
        if let Some(first_byte) = record.first_byte {
            write_milliseconds("first_byte_ms", first_byte, out);
        }
        let upstream = record.upstream.as_deref();
        text(
            out,
            "upstream",
            upstream.map(|id| id.get(..ID_CHARACTERS).unwrap_or(id)),
        );
        if record.retries > 0 {
            write_number("retries", u64::from(record.retries), out);
        }
        text(out, "error", record.fault);
        text(out, "cut", record.cut.map(cut));
        text(out, "user_agent", record.user_agent.as_deref());
        text(out, "referer", record.referer.as_deref());
        out.extend_from_slice(b"}\n");
    }

    fn write_time(&mut self, at: SystemTime, out: &mut Vec<u8>) {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        if since.as_secs() != self.second || self.date.is_empty() {
            self.second = since.as_secs();
            let second = i64::try_from(since.as_secs()).unwrap_or_default();
            let second = Timestamp::from_second(second).unwrap_or_default();
            self.date = second.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        }
        out.extend_from_slice(b"{\"time\":\"");
        out.extend_from_slice(self.date.as_bytes());
        write_thousandths(u64::from(since.subsec_millis()), out);
        out.extend_from_slice(b"Z\"");
    }
}

fn protocol(version: HttpVersion) -> &'static str {
    match version {
        HttpVersion::HTTP_10 => "HTTP/1.0",
        HttpVersion::HTTP_11 => "HTTP/1.1",
        HttpVersion::HTTP_2 => "HTTP/2",
        HttpVersion::HTTP_3 => "HTTP/3",
        // The type is open: `HTTP/0.9` is the only other, and nobody speaks it.
        _ => "HTTP",
    }
}

fn cut(cut: Cut) -> &'static str {
    match cut {
        Cut::Client => "client",
        Cut::Upstream => "upstream",
    }
}

fn write_key(key: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

fn write_number(key: &str, number: u64, out: &mut Vec<u8>) {
    write_key(key, out);
    write_digits(number, out);
}

/// Decimal digits; formatting by `write!` takes several times as long.
fn write_digits(number: u64, out: &mut Vec<u8>) {
    let mut rest = number;
    // As many as the largest number has.
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    for (position, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        first = position;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(first..).unwrap_or_default());
}

/// A point and three digits.
fn write_thousandths(number: u64, out: &mut Vec<u8>) {
    let digit = |of: u64| b'0' + (of % 10) as u8;
    out.extend_from_slice(&[b'.', digit(number / 100), digit(number / 10), digit(number)]);
}

fn write_milliseconds(key: &str, duration: Duration, out: &mut Vec<u8>) {
    write_key(key, out);
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    write_digits(micros / 1000, out);
    write_thousandths(micros % 1000, out);
}

/// A JSON text (RFC 8259, section 7). Control characters of Unicode and line separators are escaped as well: these
/// lines are read in terminals.
fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let is_plain = |byte: u8| (b' '..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    // Without a way out in the middle it is checked 16 bytes at a time.
    if text
        .bytes()
        .fold(true, |plain, byte| plain & is_plain(byte))
    {
        out.extend_from_slice(text.as_bytes());
    } else {
        for char in text.chars() {
            match char {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\u{2028}' | '\u{2029}' => {
                    let _ = write!(out, "\\u{:04x}", u32::from(char));
                }
                char if char.is_control() => {
                    let _ = write!(out, "\\u{:04x}", u32::from(char));
                }
                char => {
                    out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    fn record() -> AccessRecord<'static> {
        AccessRecord {
            at: UNIX_EPOCH + Duration::from_millis(1_787_306_400_007),
            service: Some("shop".into()),
            request_id: Some("abc".into()),
            client: "192.0.2.1".into(),
            is_https: true,
            own_port: None,
            version: HttpVersion::HTTP_2,
            upgrade: None,
            method: "GET".into(),
            host: "shop.example".into(),
            path: "/".into(),
            status: Some(200),
            request_bytes: 0,
            response_bytes: 1024,
            duration: Duration::from_nanos(1_234_567),
            first_byte: Some(Duration::from_micros(1_004)),
            upstream: Some("0123456789abcdef0123456789abcdef".into()),
            retries: 0,
            fault: None,
            cut: None,
            user_agent: Some("curl/8".into()),
            referer: None,
        }
    }

    fn line(record: &AccessRecord<'_>) -> String {
        let mut out = Vec::new();
        LineWriter::default().write(record, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_record_is_one_line_of_json() {
        insta::assert_snapshot!(line(&record()), @r#"{"time":"2026-08-21T10:00:00.007Z","app":"shop","id":"abc","client":"192.0.2.1","scheme":"https","protocol":"HTTP/2","method":"GET","host":"shop.example","path":"/","status":200,"bytes_in":0,"bytes_out":1024,"duration_ms":1.234,"first_byte_ms":1.004,"upstream":"0123456789ab","user_agent":"curl/8"}"#);
        let failed = AccessRecord {
            own_port: Some(8443),
            service: None,
            status: None,
            first_byte: None,
            upstream: Some("web.1".into()),
            upgrade: Some("websocket".into()),
            retries: 2,
            fault: Some("connection_refused"),
            cut: Some(Cut::Client),
            referer: Some("https://x/".into()),
            ..record()
        };
        insta::assert_snapshot!(line(&failed), @r#"{"time":"2026-08-21T10:00:00.007Z","id":"abc","client":"192.0.2.1","scheme":"https","port":8443,"protocol":"HTTP/2","upgrade":"websocket","method":"GET","host":"shop.example","path":"/","status":499,"bytes_in":0,"bytes_out":1024,"duration_ms":1.234,"upstream":"web.1","retries":2,"error":"connection_refused","cut":"client","user_agent":"curl/8","referer":"https://x/"}"#);
    }

    #[test]
    fn a_second_is_written_anew_when_it_changes() {
        let mut writer = LineWriter::default();
        let mut times = Vec::new();
        for ms in [0, 999, 1000, 61_000] {
            let mut out = Vec::new();
            let at = UNIX_EPOCH + Duration::from_millis(ms);
            writer.write(&AccessRecord { at, ..record() }, &mut out);
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            times.push(value["time"].as_str().unwrap().to_owned());
        }
        let expected = [
            "1970-01-01T00:00:00.000Z",
            "1970-01-01T00:00:00.999Z",
            "1970-01-01T00:00:01.000Z",
            "1970-01-01T00:01:01.000Z",
        ];
        assert_eq!(times, expected);
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_they_are(number in any::<u64>(), shift in 0..64_u32) {
            let number = number >> shift;
            let mut out = Vec::new();
            write_digits(number, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }

        #[test]
        fn whatever_a_client_writes_stays_within_its_field(agent in any::<String>(), path in any::<String>()) {
            let given = AccessRecord {
                user_agent: Some(agent.as_str().into()),
                path: path.as_str().into(),
                ..record()
            };
            let line = line(&given);
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(value["user_agent"].as_str(), Some(agent.as_str()));
            prop_assert_eq!(value["path"].as_str(), Some(path.as_str()));
            prop_assert!(!line.trim_end_matches('\n').contains(char::is_control), "{:?}", line);
        }
    }
}
