use super::*;
use proptest::prelude::*;

fn headers(lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

/// Trusted are 10.0.0.0/8 and fd00::/8.
fn said(lines: &[&str]) -> Said {
    Said::by(&headers(lines), |address| match address {
        IpAddr::V4(v4) => v4.octets()[0] == 10,
        IpAddr::V6(v6) => v6.octets()[0] == 0xfd,
    })
}

fn check(lines: &[&str], client: Option<&str>) {
    let client = client.map(|address| address.parse().unwrap());
    assert_eq!(said(lines).client, client, "{lines:?}");
}

#[test]
fn the_client_is_the_last_address_that_is_not_trusted() {
    check(&[], None);
    check(&["X-Forwarded-For: 192.0.2.1"], Some("192.0.2.1"));
    check(&["X-Forwarded-For: 6.6.6.6, 192.0.2.1"], Some("192.0.2.1"));
    check(
        &["X-Forwarded-For: 6.6.6.6,192.0.2.1 ,10.0.0.1, 10.0.0.2"],
        Some("192.0.2.1"),
    );
    let lines = [
        "X-Forwarded-For: 6.6.6.6, 192.0.2.1",
        "X-Forwarded-For: 10.0.0.1",
    ];
    check(&lines, Some("192.0.2.1"));
    check(&["X-Forwarded-For: 10.0.0.3, 10.0.0.2"], Some("10.0.0.3"));
    for same in ["2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80"] {
        check(&[&format!("X-Forwarded-For: {same}")], Some("2001:db8::1"));
    }
    check(&["X-Forwarded-For: 192.0.2.1:8080"], Some("192.0.2.1"));
    check(&["X-Forwarded-For: ::ffff:192.0.2.1"], Some("192.0.2.1"));
}

#[test]
fn what_cannot_be_read_ends_the_chain() {
    check(&["X-Forwarded-For: unknown"], None);
    check(&["X-Forwarded-For: "], None);
    check(
        &["X-Forwarded-For: 192.0.2.1, x, 10.0.0.2"],
        Some("10.0.0.2"),
    );
    check(&["X-Forwarded-For: 192.0.2.1,, 10.0.0.2"], Some("10.0.0.2"));
    check(
        &[
            "X-Forwarded-For: 192.0.2.1, \u{e4}",
            "X-Forwarded-For: 10.0.0.2",
        ],
        Some("10.0.0.2"),
    );
    check(
        &["Forwarded: for=192.0.2.1, for=unknown, for=10.0.0.2"],
        Some("10.0.0.2"),
    );
    check(
        &["Forwarded: for=192.0.2.1, for=_gate, for=10.0.0.2"],
        Some("10.0.0.2"),
    );
    check(
        &["Forwarded: for=192.0.2.1, by=10.0.0.3, for=10.0.0.2"],
        Some("10.0.0.2"),
    );
    check(
        &["Forwarded: for=192.0.2.1, for=10.0.0.2;for=10.0.0.2"],
        None,
    );
    let long = format!("Forwarded: for=192.0.2.1;x={}", "x".repeat(MAX_HOP_BYTES));
    check(&[&long], None);
    for cut in [
        "for=192.0.2.1, for=\"10.0.0.2",
        "for=192.0.2.1, for=\"10.0.0.2\\",
        "for=192.0.2.1, for=",
        "for=192.0.2.1, =10.0.0.2",
        "for=192.0.2.1, 10.0.0.2",
        "for=192.0.2.1, for=10.0.0.2 x",
        "for=192.0.2.1,",
        "for=192.0.2.1, for =10.0.0.2",
        "",
    ] {
        check(&[&format!("Forwarded: {cut}")], None);
    }
}

#[test]
fn bytes_that_are_no_text_hide_no_client() {
    // A client writes the first, a trusted proxy appends its address to that.
    for made_up in ["\u{e4}", "6.6.6.6"] {
        let mut headers = HeaderMap::new();
        for (name, own) in [
            (X_FORWARDED_FOR, ", 192.0.2.1"),
            (FORWARDED, ", for=192.0.2.1"),
        ] {
            // Not UTF-8 either.
            let value = [made_up.as_bytes(), b"\xff;x=\"", own.as_bytes()].concat();
            headers.insert(&name, HeaderValue::from_bytes(&value).unwrap());
            let found = Said::by(&headers, |_| false).client;
            assert_eq!(found, Some("192.0.2.1".parse().unwrap()), "{headers:?}");
            headers.clear();
        }
    }
    // What is behind such a byte is no whole element.
    let mut headers = HeaderMap::new();
    let value = b"for=\xff;x=\xfffor=6.6.6.6, for=10.0.0.1";
    headers.insert(FORWARDED, HeaderValue::from_bytes(value).unwrap());
    let found = Said::by(&headers, |address| address.to_string().starts_with("10."));
    assert_eq!(found.client, Some("10.0.0.1".parse().unwrap()));
}

#[test]
fn forwarded_is_read_with_its_quotes() {
    check(
        &["Forwarded: for=192.0.2.43, for=198.51.100.17"],
        Some("198.51.100.17"),
    );
    check(
        &["Forwarded: For=\"[2001:db8:cafe::17]:4711\""],
        Some("2001:db8:cafe::17"),
    );
    check(
        &["Forwarded: for=192.0.2.60;proto=http;by=203.0.113.43"],
        Some("192.0.2.60"),
    );
    check(
        &["Forwarded: for=192.0.2.1;host=\"a, for=6.6.6.6\\\"\" , for=10.0.0.1; secret=x"],
        Some("192.0.2.1"),
    );
    let open = "Forwarded: for=6.6.6.6;x=\", for=\"[2001:db8::1]:4711\"";
    check(&[open], Some("2001:db8::1"));
    // Where both are there, one counts.
    let both = [
        "Forwarded: for=6.6.6.6;proto=http",
        "X-Forwarded-For: 192.0.2.1",
    ];
    check(&both, Some("192.0.2.1"));
    assert_eq!(said(&both).is_https, None);
}

#[test]
fn scheme_and_port_are_those_of_the_clients_own_connection() {
    let of = |lines: &[&str]| (said(lines).is_https, said(lines).port);
    assert_eq!(of(&["X-Forwarded-Proto: https"]), (Some(true), None));
    assert_eq!(
        of(&["X-Forwarded-Proto: HTTP", "X-Forwarded-Port: 80"]),
        (Some(false), Some(80))
    );
    assert_eq!(
        of(&["X-Forwarded-Proto: gopher", "X-Forwarded-Port: 0"]),
        (None, None)
    );
    let chain = "X-Forwarded-For: 192.0.2.1, 10.0.0.1";
    assert_eq!(of(&[chain, "X-Forwarded-Proto: https"]).0, Some(true));
    assert_eq!(of(&[chain, "X-Forwarded-Proto: https, http"]).0, Some(true));
    // The first was there before anyone trusted wrote.
    let direct = "X-Forwarded-For: 192.0.2.1";
    assert_eq!(
        of(&[direct, "X-Forwarded-Proto: http, https"]).0,
        Some(true)
    );
    let hops = "Forwarded: for=192.0.2.1;proto=https, for=10.0.0.1;proto=http";
    assert_eq!(of(&[hops]).0, Some(true));
    let hops = "Forwarded: for=6.6.6.6;proto=https, for=192.0.2.1;proto=http";
    assert_eq!(of(&[hops]).0, Some(false));
}

#[test]
fn an_upstream_gets_one_element_that_can_be_read_again() {
    for (ip, is_https, host, expected) in [
        (
            "192.0.2.1",
            false,
            "app",
            "for=192.0.2.1;host=app;proto=http",
        ),
        (
            "2001:db8::1",
            true,
            "[::1]:8443",
            "for=\"[2001:db8::1]\";host=\"[::1]:8443\";proto=https",
        ),
    ] {
        let visitor = Visitor::new(ip.parse().unwrap(), is_https, 80);
        let value = forwarded(&visitor, &HeaderValue::from_static(host)).unwrap();
        assert_eq!(value, expected);
        let hop = Hop {
            address: Some(visitor.ip),
            is_https: Some(is_https),
        };
        assert_eq!(hops(&value).collect::<Vec<_>>(), [Some(hop)]);
    }
}

proptest! {
    #[test]
    fn what_stands_before_the_client_never_matters(
        made_up in "[ -~]{0,60}",
        trusted in prop::collection::vec(any::<[u8; 3]>(), 0..4),
    ) {
        let trusted: Vec<String> =
            trusted.iter().map(|[a, b, c]| format!("10.{a}.{b}.{c}")).collect();
        let chain = |prefix: &str| {
            let hops = trusted.iter().map(|address| format!(", {prefix}{address}"));
            hops.collect::<String>()
        };
        let old = format!("X-Forwarded-For: {made_up}, 192.0.2.1{}", chain(""));
        prop_assert_eq!(said(&[&old]).client, Some("192.0.2.1".parse().unwrap()));
        let (first, second) = (format!("Forwarded: {made_up}"), format!("Forwarded: for=192.0.2.1{}", chain("for=")));
        prop_assert_eq!(said(&[&first, &second]).client, Some("192.0.2.1".parse().unwrap()));
        let line = format!("Forwarded: {made_up}, for=192.0.2.1{}", chain("for="));
        prop_assert_eq!(said(&[&line]).client, Some("192.0.2.1".parse().unwrap()));
    }
}
