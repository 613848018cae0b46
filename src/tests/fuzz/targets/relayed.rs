//! The header of the PROXY protocol: read the same in whatever pieces it comes, and as the bytes say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mini_proxy::fuzzing::{MAX_RELAYED_BYTES, Relayed, relayed};
use std::net::{IpAddr, SocketAddr};

fuzz_target!(|bytes: &[u8]| {
    let read = relayed(bytes);
    // What is refused stays so, what is whole is not changed by what follows it.
    let longer = [bytes, b"\r\nGET / HTTP/1.1\r\n"].concat();
    match read {
        Relayed::Refused => assert_eq!(relayed(&longer), Relayed::Refused),
        Relayed::Incomplete => assert!(
            bytes.len() < MAX_RELAYED_BYTES,
            "{} bytes are waited for",
            bytes.len()
        ),
        Relayed::Header(length, ends, is_tls) => {
            assert!(length <= bytes.len() && length <= MAX_RELAYED_BYTES);
            assert_eq!(relayed(&longer), read);
            for cut in 0..length {
                assert_eq!(
                    relayed(&bytes[..cut]),
                    Relayed::Incomplete,
                    "of {length} bytes {cut}"
                );
            }
            match bytes.strip_prefix(b"PROXY ") {
                Some(_) => check_line(&bytes[..length], ends, is_tls),
                None => check_binary(&bytes[..length], ends),
            }
        }
    }
});

fn check_line(line: &[u8], ends: Option<(SocketAddr, SocketAddr)>, is_tls: bool) {
    assert!(!is_tls && line.len() <= 107 && line.ends_with(b"\r\n"));
    let text = std::str::from_utf8(line).expect("a line is text");
    let Some((client, server)) = ends else {
        assert!(text.starts_with("PROXY UNKNOWN"));
        return;
    };
    let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
    assert_eq!(client.is_ipv4(), server.is_ipv4());
    // IPv6 addresses can be written in several ways, numbers and IPv4 ones in one.
    let words: Vec<&str> = text.trim_end_matches("\r\n").split(' ').collect();
    assert_eq!(words.len(), 6, "{text:?}");
    assert_eq!(words[1], family);
    assert_eq!(words[2].parse::<IpAddr>(), Ok(client.ip()));
    assert_eq!(words[3].parse::<IpAddr>(), Ok(server.ip()));
    assert_eq!(
        (words[4], words[5]),
        (&*client.port().to_string(), &*server.port().to_string())
    );
    if client.is_ipv4() {
        assert_eq!(
            (words[2], words[3]),
            (&*client.ip().to_string(), &*server.ip().to_string())
        );
    }
}

fn check_binary(header: &[u8], ends: Option<(SocketAddr, SocketAddr)>) {
    assert!(header.starts_with(b"\r\n\r\n\0\r\nQUIT\n"));
    let body = &header[16..];
    assert_eq!(
        usize::from(u16::from_be_bytes([header[14], header[15]])),
        body.len()
    );
    let address = |at: usize, bytes: usize| -> IpAddr {
        match bytes {
            4 => <[u8; 4]>::try_from(&body[at..at + 4])
                .expect("four bytes")
                .into(),
            _ => <[u8; 16]>::try_from(&body[at..at + 16])
                .expect("sixteen bytes")
                .into(),
        }
    };
    let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    let expected = match (header[12], header[13]) {
        (0x21, 0x11) => Some(4),
        (0x21, 0x21) => Some(16),
        // The sender's own (LOCAL), of no family, or on a Unix socket.
        (0x20, _) | (0x21, 0 | 0x31) => None,
        other => panic!("{other:02x?} is no header of a stream"),
    };
    let expected = expected.map(|bytes| {
        let ports = 2 * bytes;
        let client = SocketAddr::new(address(0, bytes), port(ports));
        (
            client,
            SocketAddr::new(address(bytes, bytes), port(ports + 2)),
        )
    });
    assert_eq!(ends, expected);
}
