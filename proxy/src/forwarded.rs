//! Chains of proxies, as `X-Forwarded-For` and `Forwarded` (RFC 7239) tell of them: read from those in front that are
//! trusted, written for upstreams. Pure.

use crate::client::Visitor;
use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// Longest element of `Forwarded` that is read: two names of hosts in full length and a rest.
const MAX_HOP_BYTES: usize = 1024;

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// What the proxies in front say of a client, as far as they are trusted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Said {
    /// Its address.
    pub(crate) client: Option<IpAddr>,
    /// Whether it spoke TLS with the first of them.
    pub(crate) is_https: Option<bool>,
    /// The port it had connected to.
    pub(crate) port: Option<u16>,
}

impl Said {
    /// Goes along the chain from its end, which the nearest proxy wrote, up to the first address that is not trusted:
    /// what stands before that, its owner may have made up. What cannot be read ends the way as well; then the last
    /// that could be is the client's.
    ///
    /// Of the two forms the older one counts where both are there: hardly a proxy fails to write it, and one that does
    /// would hand on what its clients say.
    pub(crate) fn by(headers: &HeaderMap, is_trusted: impl Fn(IpAddr) -> bool) -> Said {
        let mut said = Said::default();
        let mut place = 0;
        if headers.contains_key(X_FORWARDED_FOR) {
            for (at, text) in from_the_end(headers, &X_FORWARDED_FOR).enumerate() {
                let Some(address) = node(text) else { break };
                (said.client, place) = (Some(address), at);
                if !is_trusted(address) {
                    break;
                }
            }
        } else {
            let lines = headers.get_all(FORWARDED).iter().rev();
            for (at, hop) in lines.flat_map(hops).enumerate() {
                let Some(address) = hop.and_then(|hop| hop.address) else {
                    break;
                };
                said.is_https = hop.and_then(|hop| hop.is_https);
                (said.client, place) = (Some(address), at);
                if !is_trusted(address) {
                    break;
                }
            }
        }
        let proto = at(headers, &X_FORWARDED_PROTO, place).and_then(scheme);
        said.is_https = said.is_https.or(proto);
        let port = at(headers, &X_FORWARDED_PORT, place).and_then(|port| port.parse().ok());
        said.port = port.filter(|port| *port > 0);
        said
    }
}

/// What the lines of a field list, the last first.
fn from_the_end<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().rev();
    let entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    // One that is no text cannot be read, and no other becomes unreadable by it.
    entries.map(|entry| std::str::from_utf8(entry).unwrap_or("?").trim())
}

/// The entry as far from the end as the client's address is, or the first: most proxies that add to the chain of
/// addresses leave the other fields, which the first of them set, as they are.
fn at<'a>(headers: &'a HeaderMap, name: &HeaderName, place: usize) -> Option<&'a str> {
    if !headers.contains_key(name) {
        return None;
    }
    from_the_end(headers, name).take(place + 1).last()
}

/// `ws` and `wss` are what Kong and Traefik say of WebSockets.
fn scheme(text: &str) -> Option<bool> {
    let is = |scheme: &str| text.eq_ignore_ascii_case(scheme);
    match (is("https") || is("wss"), is("http") || is("ws")) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`. What is unknown or hidden
/// (RFC 7239 section 6) is none.
fn node(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = match bare {
        Some(bare) => bare.parse().map(IpAddr::V6).ok(),
        None => text.parse().ok(),
    };
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    address
        .or_else(with_port)
        .map(|address| address.to_canonical())
}

/// One element of a `Forwarded` field.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Hop {
    address: Option<IpAddr>,
    is_https: Option<bool>,
}

/// The elements of one line, the last first, up to one that cannot be read, which is none.
///
/// Each is the shortest end of what is left that is a whole element, so that a quote which somebody left open before it
/// cannot swallow it.
fn hops(line: &HeaderValue) -> impl Iterator<Item = Option<Hop>> {
    // What is no text ends the way, and takes nothing with it that stands behind.
    let (text, is_whole) = match line.as_bytes().utf8_chunks().last() {
        Some(end) if end.invalid().is_empty() => (end.valid(), end.valid().len() == line.len()),
        Some(_) => ("", false),
        None => ("", true),
    };
    let mut left = Some(text);
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let text = left.unwrap_or_default();
        let commas = text.bytes().enumerate().rev();
        let commas = commas.take(MAX_HOP_BYTES).filter(|(_, byte)| *byte == b',');
        let beginning = is_whole.then_some(None);
        let mut starts = commas.map(|(at, _)| Some(at)).chain(beginning);
        let found = starts.find_map(|comma| {
            let start = comma.map_or(0, |at| at + 1);
            let hop = Hop::read(text.get(start..)?)?;
            Some((hop, comma.and_then(|at| text.get(..at))))
        });
        left = found.and_then(|(_, before)| before);
        is_over = left.is_none();
        Some(found.map(|(hop, _)| hop))
    })
}

impl Hop {
    /// A whole element. One with an address that is unknown or hidden has none.
    fn read(text: &str) -> Option<Hop> {
        if text.len() > MAX_HOP_BYTES {
            return None;
        }
        let mut hop = Hop::default();
        let mut rest = text;
        loop {
            let (name, value, behind) = pair(rest)?;
            hop = hop.with(name, &value)?;
            rest = match behind.split_at_checked(1) {
                None => return Some(hop),
                Some((";", behind)) => behind,
                Some(_) => return None,
            };
        }
    }

    /// None if a parameter is there twice, or an address cannot be read.
    fn with(mut self, name: &str, value: &str) -> Option<Hop> {
        if name.eq_ignore_ascii_case("for") {
            let address = node(value)?;
            return self.address.replace(address).is_none().then_some(self);
        }
        if name.eq_ignore_ascii_case("proto") {
            let is_https = scheme(value)?;
            return self.is_https.replace(is_https).is_none().then_some(self);
        }
        Some(self)
    }
}

/// The parameter a text begins with: name, value, and what is behind it (RFC 7239 section 4).
fn pair(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = text.split_once('=')?;
    let name = name.trim_start();
    if name.is_empty() || !name.bytes().all(is_token) {
        return None;
    }
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.bytes().position(|byte| !is_token(byte));
        let (value, behind) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
        return (!value.is_empty()).then(|| (name, value.to_owned(), behind.trim_start()));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((name, value, quoted.get(at + 1..)?.trim_start())),
            '\\' => value.push(chars.next()?.1),
            char => value.push(char),
        }
    }
    None
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The one element an upstream is told: by whom, over what and for which host it was asked.
pub(crate) fn forwarded(visitor: &Visitor, host: &HeaderValue) -> Option<HeaderValue> {
    let mut text = match visitor.ip {
        IpAddr::V4(address) => format!("for={address}"),
        // Brackets and colons are no token.
        IpAddr::V6(address) => format!("for=\"[{address}]\""),
    };
    let scheme = if visitor.is_https { "https" } else { "http" };
    let host = host.to_str().ok()?;
    let written = match host.bytes().all(is_token) {
        true => write!(text, ";host={host};proto={scheme}"),
        // A host that has been routed by has nothing in it that would have to be escaped.
        false => write!(text, ";host=\"{host}\";proto={scheme}"),
    };
    written.ok()?;
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
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
}
