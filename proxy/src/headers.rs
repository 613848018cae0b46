//! Header hygiene: what must not pass a proxy, and what it adds.

use crate::client::Visitor;
use crate::forwarded::{X_FORWARDED_FOR, X_FORWARDED_PORT, X_FORWARDED_PROTO, forwarded};
use crate::path::PathPrefix;
use crate::policy::Policy;
use crate::stamps::Stamps;
use crate::trace;
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, Entry, FORWARDED, HOST, HeaderMap, HeaderName,
    HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use std::rc::Rc;

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
pub(crate) const X_FORWARDED_USER: HeaderName = HeaderName::from_static("x-forwarded-user");
const X_REQUEST_START: HeaderName = HeaderName::from_static("x-request-start");
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id that is passed on.
const MAX_REQUEST_ID_BYTES: usize = 200;
/// Longest start of a request that is passed on: more than a number of seconds with a fraction needs.
const MAX_REQUEST_START_BYTES: usize = 40;

/// Removes from a request what concerns only the client's connection to us, and what only the last proxy may say:
/// hop-by-hop fields (RFC 9110 section 7.6.1), fields named by `Connection`, every `X-Forwarded-*` and its kin. What
/// trusted proxies say by them has been read before. Answers the protocol to upgrade to, if the client asks for one.
///
/// `Transfer-Encoding` stays, and is left out when the request is written; only `chunked` gets here. `Expect` goes:
/// the client gets its 100 as soon as the upstream takes the body. `TE` keeps `trailers`, which we do pass on.
pub(crate) fn clean_request(headers: &mut HeaderMap) -> Option<HeaderValue> {
    let is_marked = |name: &HeaderName| {
        is_hop_by_hop(name) || name == EXPECT || name == FORWARDED || is_claim_of_proxy(name)
    };
    if !headers.keys().any(is_marked) {
        return None;
    }
    let upgrade = upgrade_of(headers);
    let trailers = headers.get(TE).is_some_and(|te| has_token(te, "trailers"));
    remove_marked(headers, is_marked);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Some(protocol) = &upgrade {
        ask_upgrade(headers, protocol.clone());
    }
    upgrade
}

/// Removes from an answer what concerns only the upstream's connection to us.
///
/// Answers the protocol if it agrees to an upgrade; the caller puts it back with [`ask_upgrade`].
pub(crate) fn clean_response(headers: &mut HeaderMap) -> Option<HeaderValue> {
    // hyper frames the body for the client by what it knows of its length.
    let is_marked = |name: &HeaderName| is_hop_by_hop(name) || name == TRANSFER_ENCODING;
    if !headers.keys().any(is_marked) {
        return None;
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        // Of the two, this one said where the body ends (RFC 9112 section 6.3).
        headers.remove(CONTENT_LENGTH);
    }
    let upgrade = headers.get(UPGRADE).cloned();
    remove_marked(headers, is_marked);
    upgrade
}

/// Makes one field of the crumbs that HTTP/2 lets a client cut its cookies into (RFC 9113 section 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else {
        return;
    };
    let mut joined = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, joined);
    }
}

/// The trailers that a request announces by `Trailer`, and that may come as such: not what a server acts on before it has them
/// (RFC 9110 section 6.5.1), and nothing that [`clean_request`] takes from its head.
pub(crate) fn announced(headers: &HeaderMap) -> Vec<HeaderName> {
    let names = headers.get_all(TRAILER).iter().flat_map(tokens);
    names
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .filter(|name| !is_hop_by_hop(name) && !is_claim_of_proxy(name) && !is_for_heads(name))
        .collect()
}

/// Removes from the trailers of an answer what may not come as such, or concerns only the upstream's connection to us.
pub(crate) fn clean_trailers(trailers: &mut HeaderMap) {
    let is_marked = |name: &&HeaderName| is_hop_by_hop(name) || is_for_heads(name);
    let marked: Vec<HeaderName> = trailers.keys().filter(is_marked).cloned().collect();
    for name in marked {
        trailers.remove(name);
    }
}

fn is_for_heads(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "authorization"
            | "cache-control"
            | "content-encoding"
            | "content-length"
            | "content-range"
            | "content-type"
            | "cookie"
            | "expect"
            | "forwarded"
            | "host"
            | "max-forwards"
            | "set-cookie"
            | "trailer"
            | "transfer-encoding"
            | "x-request-id"
            | "x-request-start"
    )
}

/// Marks a message as one that changes the protocol of its connection.
pub(crate) fn ask_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// What an upstream is told of a request.
#[derive(Debug)]
pub(crate) struct Told<'a> {
    pub(crate) visitor: &'a Rc<Visitor>,
    pub(crate) host: &'a HeaderValue,
    pub(crate) policy: &'a Policy,
    pub(crate) stamps: &'a Stamps,
}

/// Who asked, how, when, and under which id: the fields that every request gets, beside those of its map. Putting them in there
/// costs more than writing them behind it.
#[derive(Debug)]
pub(crate) struct Added {
    id: HeaderValue,
    visitor: Rc<Visitor>,
    host: HeaderValue,
    start: HeaderValue,
}

impl Added {
    /// Takes from the map what of it is to be believed, and tells there what only some upstreams want to know. The address is
    /// that of the visitor alone: the proxies between are those we trust, and upstreams need not know which they are.
    pub(crate) fn to(headers: &mut HeaderMap, told: &Told<'_>) -> Added {
        let Told {
            visitor,
            host,
            policy,
            stamps,
        } = *told;
        let (mut id, mut start) = (None, None);
        let is_stamp = |name: &HeaderName| name.as_str().starts_with("x-request-");
        if headers.keys().any(is_stamp) {
            // Of two ids, an upstream could log the other one: none stays that is not ours.
            id = headers.remove(X_REQUEST_ID).filter(is_acceptable_id);
            start = headers.remove(X_REQUEST_START).filter(is_acceptable_start);
        }
        if policy.forwarded
            && let Some(forwarded) = forwarded(visitor, host)
        {
            headers.insert(FORWARDED, forwarded);
        }
        if policy.traceparent {
            trace::carry_on(headers, visitor.is_introduced, &stamps.random);
        }
        let believed = |stamp: Option<HeaderValue>| stamp.filter(|_| visitor.is_introduced);
        Added {
            id: believed(id).unwrap_or_else(|| stamps.request_id()),
            visitor: Rc::clone(visitor),
            host: host.clone(),
            start: believed(start).unwrap_or_else(|| stamps.request_start()),
        }
    }

    /// The id of the request.
    pub(crate) fn id(&self) -> &HeaderValue {
        &self.id
    }

    /// Writes them as lines behind what is there.
    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        for (name, value) in [
            (&b"x-request-id: "[..], self.id.as_bytes()),
            (b"\r\nx-forwarded-for: ", self.visitor.address.as_bytes()),
            (b"\r\nx-forwarded-proto: ", self.visitor.scheme().as_bytes()),
            (b"\r\nx-forwarded-port: ", self.visitor.port.as_bytes()),
            (b"\r\nx-forwarded-host: ", self.host.as_bytes()),
            (b"\r\nx-request-start: ", self.start.as_bytes()),
        ] {
            to.extend_from_slice(name);
            to.extend_from_slice(value);
        }
        to.extend_from_slice(b"\r\n");
    }

    /// Puts them into a map.
    pub(crate) fn insert(&self, headers: &mut HeaderMap) {
        // It would otherwise grow, and hash all it has again, up to three times.
        headers.reserve(6);
        headers.insert(X_REQUEST_ID, self.id.clone());
        headers.insert(X_FORWARDED_FOR, self.visitor.address.clone());
        let scheme = HeaderValue::from_static(self.visitor.scheme());
        headers.insert(X_FORWARDED_PROTO, scheme);
        headers.insert(X_FORWARDED_PORT, self.visitor.port.clone());
        headers.insert(X_FORWARDED_HOST, self.host.clone());
        headers.insert(X_REQUEST_START, self.start.clone());
    }
}

/// Tells the upstream what was taken from the beginning of the path, so that it can write links that work.
pub(crate) fn set_prefix(headers: &mut HeaderMap, prefix: &PathPrefix) {
    if let Ok(value) = HeaderValue::from_str(prefix.as_str()) {
        headers.insert(X_FORWARDED_PREFIX, value);
    }
}

fn is_acceptable_id(id: &HeaderValue) -> bool {
    let id = id.as_bytes();
    !id.is_empty() && id.len() <= MAX_REQUEST_ID_BYTES && id.iter().all(u8::is_ascii_graphic)
}

/// A number, whole or with a fraction, with or without `t=` before it: nginx and Apache write the time in such forms.
fn is_acceptable_start(start: &HeaderValue) -> bool {
    let start = start.as_bytes();
    let number = start.strip_prefix(b"t=").unwrap_or(start);
    number.first().is_some_and(u8::is_ascii_digit)
        && number.len() <= MAX_REQUEST_START_BYTES
        && number
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'.')
}

/// RFC 9110 section 7.6.1, with the old `Keep-Alive` and `Proxy-Connection`; `Transfer-Encoding` apart.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "upgrade"
            | "http2-settings"
    )
}

/// What only a proxy may say about a request. The ones of [`Added`] come behind what is left.
fn is_claim_of_proxy(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-") && (name.starts_with("x-forwarded-") || name == "x-real-ip")
}

fn remove_marked(headers: &mut HeaderMap, is_marked: impl Fn(&HeaderName) -> bool) {
    let mut marked = Vec::new();
    if let Entry::Occupied(connection) = headers.entry(CONNECTION) {
        for value in connection.remove_entry_mult().1 {
            // The two that nearly all are name no field.
            if !value.as_bytes().eq_ignore_ascii_case(b"keep-alive")
                && !value.as_bytes().eq_ignore_ascii_case(b"close")
            {
                let names =
                    tokens(&value).filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
                marked.extend(names.filter(may_be_removed));
            }
        }
    }
    // Most messages have none of them, and an empty list allocates nothing.
    marked.extend(headers.keys().filter(|name| is_marked(name)).cloned());
    for name in marked {
        headers.remove(name);
    }
}

/// A client must not be able to take away what its request is framed and routed by.
fn may_be_removed(name: &HeaderName) -> bool {
    *name != HOST && *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING
}

fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let protocol = headers.get(UPGRADE)?;
    let asked = headers
        .get_all(CONNECTION)
        .iter()
        .any(|connection| has_token(connection, "upgrade"));
    // Some clients offer h2c with every request. It may be ignored, and the tunnel would hide the requests
    // that follow from routing (RFC 9113 dropped it).
    (asked && !has_token(protocol, "h2c")).then(|| protocol.clone())
}

fn has_token(value: &HeaderValue, wanted: &str) -> bool {
    tokens(value).any(|token| token.eq_ignore_ascii_case(wanted))
}

fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or("").split(',').map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::{Added, Told, announced, clean_request, clean_response, join_cookies};
    use crate::client::Visitor;
    use crate::policy::Policy;
    use crate::stamps::Stamps;
    use http::{HeaderMap, HeaderName, HeaderValue};
    use std::rc::Rc;

    fn headers(lines: &str) -> HeaderMap {
        let lines = lines.split('|').filter_map(|line| line.split_once(": "));
        let pairs = lines.map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        });
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value);
        }
        headers
    }

    fn check_request(given: &str, expected: &str) {
        let mut headers_left = headers(given);
        clean_request(&mut headers_left);
        assert_eq!(headers_left, headers(expected), "{given}");
    }

    #[test]
    fn hop_by_hop_fields_do_not_pass() {
        check_request("Host: a|Accept: */*", "Host: a|Accept: */*");
        check_request(
            "Host: a|Connection: keep-alive|Keep-Alive: timeout=5",
            "Host: a",
        );
        check_request(
            "Host: a|Connection: close, X-Secret|X-Secret: 1|X-Other: 2",
            "Host: a|X-Other: 2",
        );
        check_request("Host: a|Connection: x|Connection: y|X: 1|Y: 1", "Host: a");
        check_request(
            "Host: a|Proxy-Authorization: x|Proxy-Connection: x",
            "Host: a",
        );
        check_request("Host: a|TE: trailers, deflate", "Host: a|TE: trailers");
        check_request("Host: a|TE: deflate", "Host: a");
        check_request(
            "Host: a|Expect: 100-continue|Content-Length: 1",
            "Host: a|Content-Length: 1",
        );
    }

    #[test]
    fn what_frames_and_routes_a_request_cannot_be_taken_away() {
        let given = "Host: a|Content-Length: 3|Connection: host, content-length, transfer-encoding";
        check_request(given, "Host: a|Content-Length: 3");
    }

    #[test]
    fn what_only_a_proxy_may_say_is_removed() {
        check_request(
            "Host: a|X-Forwarded-For: 1|X-Forwarded-Ssl: on|Forwarded: for=1|X-Real-IP: 1",
            "Host: a",
        );
        check_request("Host: a|X-Forward: 1", "Host: a|X-Forward: 1");
    }

    #[test]
    fn an_upgrade_passes_when_it_is_meant_and_is_not_h2c() {
        let websocket = "Host: a|Connection: keep-alive, Upgrade|Upgrade: websocket";
        check_request(websocket, "Host: a|Connection: upgrade|Upgrade: websocket");
        check_request("Host: a|Upgrade: websocket", "Host: a");
        let h2c = "Host: a|Connection: Upgrade, HTTP2-Settings|Upgrade: h2c|HTTP2-Settings: AA";
        check_request(h2c, "Host: a");
    }

    fn added(given: &str, is_introduced: bool) -> (HeaderMap, Added) {
        let mut visitor = Visitor::new([192, 0, 2, 1].into(), true, 443);
        visitor.is_introduced = is_introduced;
        let told = Told {
            visitor: &Rc::new(visitor),
            host: &HeaderValue::from_static("a.test"),
            policy: &Policy::default(),
            stamps: &Stamps::new(),
        };
        let mut headers = headers(given);
        let added = Added::to(&mut headers, &told);
        (headers, added)
    }

    #[test]
    fn what_is_told_is_the_same_in_lines_and_in_a_map() {
        let given = "Host: a|X-Request-Id: one|X-Request-Id: two|X-Request-Start: t=1";
        let (map, told) = added(given, false);
        assert_eq!(map, headers("Host: a"), "nobody else is believed");
        let mut lines = Vec::new();
        told.write(&mut lines);
        let lines = String::from_utf8(lines).unwrap();
        let mut all = HeaderMap::new();
        told.insert(&mut all);
        let lines = lines.strip_suffix("\r\n").unwrap().replace("\r\n", "|");
        assert_eq!(all, headers(&lines));
        assert_eq!(all.len(), 6);
        assert_eq!(all["x-forwarded-for"], "192.0.2.1");
        assert_eq!(all["x-forwarded-proto"], "https");
        assert_eq!(all["x-request-id"], told.id());
    }

    #[test]
    fn a_trusted_proxy_tells_id_and_time_if_it_does_so_properly() {
        for (given, id, start) in [
            ("X-Request-Id: one|X-Request-Start: t=1", true, true),
            ("X-Request-Id: o ne|X-Request-Start: t=x", false, false),
            ("X-Request-Other: 1", false, false),
        ] {
            let (_, told) = added(given, true);
            assert_eq!(told.id() == "one", id, "{given}");
            assert_eq!(told.start == "t=1", start, "{given}");
        }
    }

    #[test]
    fn crumbs_of_cookies_are_joined() {
        for (given, expected) in [
            (
                "Cookie: a=1|X: y|Cookie: b=2|Cookie: c=3",
                "Cookie: a=1; b=2; c=3|X: y",
            ),
            ("Cookie: a=1; b=2", "Cookie: a=1; b=2"),
            ("Host: a", "Host: a"),
        ] {
            let mut joined = headers(given);
            join_cookies(&mut joined);
            assert_eq!(joined, headers(expected), "{given}");
        }
    }

    #[test]
    fn trailers_cannot_say_what_heads_are_read_for() {
        let announced = announced(&headers(
            "Trailer: X-Sum, Host, content-length|Trailer: X-Forwarded-For,Digest|Trailer: a b",
        ));
        assert_eq!(announced, ["x-sum", "digest"]);
    }

    #[test]
    fn answers_are_cleaned_too() {
        let mut answer = headers(
            "Server: x|Connection: close, X-A|X-A: 1|Transfer-Encoding: chunked|Trailer: T",
        );
        assert_eq!(clean_response(&mut answer), None);
        assert_eq!(answer, headers("Server: x|Trailer: T"));
    }
}
