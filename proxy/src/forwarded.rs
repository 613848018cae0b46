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
mod tests;
