use super::*;
use proptest::prelude::*;

fn relayed(client: &str, server: &str) -> Header {
    Header {
        ends: Some(Relayed {
            client: client.parse().unwrap(),
            server: server.parse().unwrap(),
        }),
        is_tls: false,
    }
}

fn check(bytes: &[u8], expected: Result<Header, Error>) {
    let parsed = parse(bytes);
    let expected = expected.map(|header| Parsed::Header(header, bytes.len()));
    assert_eq!(parsed, expected, "{}", bytes.escape_ascii());
}

/// A header of version 2.
fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, body].concat()
}

fn addition(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind], &length[..], value].concat()
}

const IPV4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0x01, 0xbb];

#[test]
fn lines_of_version_1() {
    check(
        b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n",
        Ok(relayed("192.0.2.1:56324", "198.51.100.7:443")),
    );
    check(
        b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n",
        Ok(relayed("[2001:db8::1]:0", "[::1]:65535")),
    );
    check(b"PROXY UNKNOWN\r\n", Ok(Header::default()));
    check(
        b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
        Ok(Header::default()),
    );
    for broken in [
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n",
        "PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n",
        "PROXY TCP4 1.1.1.01 2.2.2.2 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\nX\r\n",
    ] {
        check(broken.as_bytes(), Err(Error::Line));
    }
    check(b"PROXY UNKNOWN \xff\r\n", Err(Error::Line));
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
    check(long.as_bytes(), Err(Error::TooLong));
}

#[test]
fn headers_of_version_2() {
    let told = relayed("192.0.2.1:56324", "198.51.100.7:443");
    check(&binary(0x21, 0x11, IPV4), Ok(told));
    let mut ipv6 = [0; 36];
    (ipv6[15], ipv6[31], ipv6[33], ipv6[35]) = (1, 2, 3, 4);
    check(
        &binary(0x21, 0x21, &ipv6),
        Ok(relayed("[::1]:3", "[::2]:4")),
    );
    // LOCAL and UNSPEC, whatever they have.
    check(&binary(0x20, 0, &[]), Ok(Header::default()));
    check(&binary(0x20, 0x11, b"anything"), Ok(Header::default()));
    check(&binary(0x21, 0, b"anything"), Ok(Header::default()));
    check(&binary(0x21, 0x31, &[0; 216]), Ok(Header::default()));
    // Additions are skipped, but for TLS.
    let body = [IPV4, &addition(0x04, &[0; 5]), &addition(0x02, b"shop")].concat();
    check(&binary(0x21, 0x11, &body), Ok(told));
    for (bits, is_tls) in [(1, true), (7, true), (0, false), (6, false)] {
        let body = [IPV4, &addition(SSL, &[bits, 0, 0, 0, 0])].concat();
        let expected = Header { is_tls, ..told };
        check(&binary(0x21, 0x11, &body), Ok(expected));
    }

    check(&binary(0x11, 0x11, IPV4), Err(Error::Version));
    check(&binary(0x22, 0x11, IPV4), Err(Error::Command));
    for family in [0x12, 0x22, 0x32, 0x10, 0x01, 0x41] {
        check(&binary(0x21, family, IPV4), Err(Error::Transport));
    }
    check(&binary(0x21, 0x11, &IPV4[..11]), Err(Error::CutShort));
    check(&binary(0x21, 0x21, IPV4), Err(Error::CutShort));
    check(&binary(0x21, 0x31, &[0; 215]), Err(Error::CutShort));
    for cut in [&[4][..], &[4, 0], &[4, 0, 2, 0]] {
        check(
            &binary(0x21, 0x11, &[IPV4, cut].concat()),
            Err(Error::CutShort),
        );
    }
    // Told before all of it has come.
    let long = binary(0x21, 0x11, &vec![0; MAX_BYTES]);
    assert_eq!(parse(&long[..FIXED_BYTES]), Err(Error::TooLong));
}

#[test]
fn a_checksum_is_checked() {
    assert_eq!(crc32c(b"123456789".iter()), 0xe306_9283);
    let head = [IPV4, &addition(0x04, b"x"), &[CRC32C, 0, 4]].concat();
    let behind = addition(0x04, b"yz");
    let with = |sum: [u8; 4]| binary(0x21, 0x11, &[&head, &sum[..], &behind].concat());
    let sum = crc32c(with([0; 4]).iter()).to_be_bytes();
    let right = with(sum);
    check(&right, Ok(relayed("192.0.2.1:56324", "198.51.100.7:443")));
    check(&with([0; 4]), Err(Error::Checksum));
    // Of the addresses, too.
    let mut changed = right;
    changed[FIXED_BYTES] ^= 1;
    check(&changed, Err(Error::Checksum));
    let body = [IPV4, &addition(CRC32C, b"short")[..]].concat();
    check(&binary(0x21, 0x11, &body), Err(Error::Checksum));
}

#[test]
fn what_is_no_header_is_known_by_its_first_bytes() {
    for other in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\x16\x03\x01",
        b"PRI * HTTP/2.0",
        b"PROXYTCP4",
        b"\r\n\r\nG",
    ] {
        check(other, Err(Error::Missing));
    }
    assert_eq!(parse(b""), Ok(Parsed::Incomplete));
}

fn a_header() -> impl Strategy<Value = (Vec<u8>, Header)> {
    let ipv4 = any::<(Ipv4Addr, u16, Ipv4Addr, u16)>()
        .prop_map(|(a, b, c, d)| ((IpAddr::V4(a), b), (IpAddr::V4(c), d)));
    let ipv6 = any::<(Ipv6Addr, u16, Ipv6Addr, u16)>()
        .prop_map(|(a, b, c, d)| ((IpAddr::V6(a), b), (IpAddr::V6(c), d)));
    let additions =
        prop::collection::vec((0x40_u8.., prop::collection::vec(any::<u8>(), 0..50)), 0..4);
    (prop_oneof![ipv4, ipv6], any::<bool>(), additions).prop_map(
        |((client, server), is_line, additions)| {
            let header = Header {
                ends: Some(Relayed {
                    client: client.into(),
                    server: server.into(),
                }),
                is_tls: false,
            };
            let is_ipv4 = client.0.is_ipv4();
            if is_line {
                let name = if is_ipv4 { "TCP4" } else { "TCP6" };
                let line = format!(
                    "PROXY {name} {} {} {} {}\r\n",
                    client.0, server.0, client.1, server.1
                );
                return (line.into_bytes(), header);
            }
            let mut body = Vec::new();
            for address in [client.0, server.0] {
                match address {
                    IpAddr::V4(v4) => body.extend(v4.octets()),
                    IpAddr::V6(v6) => body.extend(v6.octets()),
                }
            }
            for port in [client.1, server.1] {
                body.extend(port.to_be_bytes());
            }
            for (kind, value) in additions {
                body.extend(addition(kind, &value));
            }
            (
                binary(0x21, if is_ipv4 { 0x11 } else { 0x21 }, &body),
                header,
            )
        },
    )
}

proptest! {
    #[test]
    fn a_header_is_read_as_it_was_written_wherever_it_is_cut(
        (bytes, header) in a_header(),
        behind in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        for end in 0..bytes.len() {
            prop_assert_eq!(parse(&bytes[..end]), Ok(Parsed::Incomplete));
        }
        let length = bytes.len();
        prop_assert_eq!(parse(&[bytes, behind].concat()), Ok(Parsed::Header(header, length)));
    }

    #[test]
    fn nothing_is_read_beyond_the_header_and_more_bytes_change_nothing(
        start in prop::sample::select(vec![&b""[..], LINE_START, SIGNATURE, b"PROXY UNKNOWN", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00"]),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        more in prop::collection::vec(any::<u8>(), 0..30),
    ) {
        let bytes = [start, &bytes].concat();
        let parsed = parse(&bytes);
        if let Ok(Parsed::Header(_, length)) = parsed {
            prop_assert!(length <= bytes.len() && length <= MAX_BYTES);
        }
        if parsed != Ok(Parsed::Incomplete) {
            prop_assert_eq!(parse(&[bytes, more].concat()), parsed);
        }
    }
}
