//! Lines of headers from a proxy in front, NUL, and what its client could have written before them: it changes nothing of whom the
//! trusted ones name.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::{Corpus, fuzz_target};
use mini_proxy::fuzzing::{said, traced};
use std::net::IpAddr;

fn is_trusted(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets()[0] == 10,
        IpAddr::V6(v6) => v6.octets()[0] == 0xfd,
    }
}

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let at = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    let (lines, made_up) = bytes.split_at(at);
    let made_up = made_up.get(1..).unwrap_or_default();
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(0);
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = line
            .get(colon + 1..)
            .map(|value| HeaderValue::from_bytes(value.trim_ascii()));
        if let (Ok(name), Some(Ok(value))) = (name, value) {
            headers.append(name, value);
        }
    }
    check_trace(&headers);
    let found = said(&headers, is_trusted);
    if headers.contains_key("x-forwarded-for") {
        assert_eq!(found.0, slowly(&headers), "{headers:?}");
    }
    assert_ne!(found.2, Some(0), "a port");
    let Some(client) = found.0 else {
        return Corpus::Keep;
    };
    assert_eq!(client, client.to_canonical());
    if is_trusted(client) {
        return Corpus::Keep;
    }
    // The way has ended at an address whose owner nobody vouches for: what stands before is its own invention.
    for name in ["x-forwarded-for", "forwarded"] {
        let Some(first) = headers.get(name).map(HeaderValue::as_bytes) else {
            continue;
        };
        let mut forged = headers.clone();
        let before = [made_up, b",", first].concat();
        let Ok(before) = HeaderValue::from_bytes(before.trim_ascii()) else {
            continue;
        };
        // In the same line, as a proxy that appends leaves it.
        if let http::header::Entry::Occupied(mut entry) = forged.entry(name)
            && let Some(value) = entry.iter_mut().next()
        {
            *value = before;
        }
        assert_eq!(said(&forged, is_trusted).0, Some(client), "{forged:?}");
    }
    Corpus::Keep
});

/// The chain as one line, from its end.
fn slowly(headers: &HeaderMap) -> Option<IpAddr> {
    let mut found = None;
    let mut entries: Vec<Option<String>> = Vec::new();
    for line in headers.get_all("x-forwarded-for") {
        let parts = line.as_bytes().split(|byte| *byte == b',');
        entries.extend(parts.map(|part| {
            String::from_utf8(part.to_vec())
                .ok()
                .map(|part| part.trim().to_owned())
        }));
    }
    while let Some(entry) = entries.pop() {
        let Some(address) = entry.as_deref().and_then(address) else {
            break;
        };
        found = Some(address);
        if !is_trusted(address) {
            break;
        }
    }
    found
}

fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let plain: Option<IpAddr> = text.parse().ok();
    let bracketed: Option<IpAddr> = bare
        .and_then(|bare| bare.parse().ok())
        .filter(IpAddr::is_ipv6);
    let with_port = text
        .parse::<std::net::SocketAddr>()
        .ok()
        .map(|both| both.ip());
    plain
        .or(bracketed)
        .or(with_port)
        .map(|address| address.to_canonical())
}

fn check_trace(headers: &HeaderMap) {
    for is_introduced in [false, true] {
        let traced = traced(headers.clone(), is_introduced);
        let all: Vec<&HeaderValue> = traced.get_all("traceparent").iter().collect();
        assert_eq!(all.len(), 1);
        let text = String::from_utf8_lossy(all[0].as_bytes());
        let fields: Vec<&str> = text.split('-').collect();
        let is_hex = |field: &str, length| {
            field.len() == length
                && field
                    .bytes()
                    .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let lengths = fields.len() >= 4
            && is_hex(fields[0], 2)
            && is_hex(fields[1], 32)
            && is_hex(fields[2], 16)
            && is_hex(fields[3], 2);
        assert!(
            lengths && fields[0] != "ff" && (fields[0] != "00" || fields.len() == 4),
            "{text:?}"
        );
        assert!(
            fields[1].bytes().any(|b| b != b'0') && fields[2].bytes().any(|b| b != b'0'),
            "{text:?}"
        );
        let goes_on = headers.get("traceparent") == Some(all[0]);
        assert!(is_introduced || !goes_on, "a stranger's trace goes on");
        assert!(goes_on || !traced.contains_key("tracestate"));
    }
}
