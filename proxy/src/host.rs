//! Host names: what a route is keyed by, and how a `Host` header is read.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;
use std::sync::Arc;

/// Longest host name in bytes (RFC 1035 section 2.3.4, without the root dot).
const MAX_HOST_BYTES: usize = 253;
/// Longest label in bytes (RFC 1035 section 2.3.4).
const MAX_LABEL_BYTES: usize = 63;

/// A host name as routed on: lower case, without port, without trailing dot.
///
/// Made with [`FromStr`], which lowers the case and drops one trailing dot. Names in other scripts are
/// expected in their ASCII form (`xn--...`); an IPv6 address is written in brackets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Host(Arc<str>);

/// What a route is for: one host name, or every name with one more label in front of one.
///
/// `*.example.com` is for `www.example.com`, not for `example.com` nor `a.b.example.com`: as far as a
/// certificate for the same name reaches (RFC 9525 section 6.3), so that no name is routed which cannot be
/// served over TLS, and one look-up finds it. An exact name always goes before a wildcard.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HostPattern {
    /// This name alone.
    Exact(Host),
    /// One label in front of this name.
    Wildcard(Host),
}

/// Why a text is not a host name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HostError {
    /// Nothing is left of it.
    #[error("a host name cannot be empty")]
    Empty,
    /// Longer than 253 bytes, or a label longer than 63.
    #[error("a host name has at most 253 bytes, and 63 between two dots")]
    TooLong,
    /// A byte that no host name contains, an empty label, or a hyphen at a label's edge.
    #[error("a host name consists of letters, digits and hyphens, with single dots between")]
    Invalid,
}

impl Host {
    /// The name, lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Host, HostError> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(HostError::Empty);
        }
        if name.len() > MAX_HOST_BYTES {
            return Err(HostError::TooLong);
        }
        if let Some(rest) = name.strip_prefix('[') {
            let address = rest.strip_suffix(']').ok_or(HostError::Invalid)?;
            let address: Ipv6Addr = address.parse().map_err(|_| HostError::Invalid)?;
            return Ok(Host(format!("[{address}]").into()));
        }
        for label in name.split('.') {
            if label.len() > MAX_LABEL_BYTES {
                return Err(HostError::TooLong);
            }
            // An underscore is no letter of a host name, but occurs in names people do route on.
            let letters = label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if label.is_empty() || !letters || label.starts_with('-') || label.ends_with('-') {
                return Err(HostError::Invalid);
            }
        }
        Ok(Host(name.to_ascii_lowercase().into()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for HostPattern {
    type Err = HostError;

    fn from_str(text: &str) -> Result<HostPattern, HostError> {
        match text.strip_prefix("*.") {
            Some(rest) => rest.parse().map(HostPattern::Wildcard),
            None => text.parse().map(HostPattern::Exact),
        }
    }
}

impl From<Host> for HostPattern {
    fn from(host: Host) -> HostPattern {
        HostPattern::Exact(host)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(host) => host.fmt(f),
            HostPattern::Wildcard(host) => write!(f, "*.{host}"),
        }
    }
}

// `Arc<str>` hashes and compares as `str` does, so a map keyed by `Host` can be asked with a `&str`.
impl Borrow<str> for Host {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The name to route on in a `Host` header or a target's authority: no port, no trailing dot, lower case.
///
/// Borrows when the client sent it that way already, which nearly all do. `None` for a value no host has:
/// empty, a port that is not a number, an unclosed bracket, user information.
pub(crate) fn routing_name(header: &str) -> Option<Cow<'_, str>> {
    let (name, port) = match header.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')?.checked_add(2)?;
            let (name, port) = header.split_at_checked(end)?;
            (
                name,
                port.strip_prefix(':').or(port.is_empty().then_some(""))?,
            )
        }
        None => header.split_once(':').unwrap_or((header, "")),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let plausible = match name.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|address| !address.is_empty() && address.bytes().all(is_of_address)),
        None => !name.is_empty() && name.bytes().all(is_of_name),
    };
    if !plausible || !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        Some(Cow::Owned(name.to_ascii_lowercase()))
    } else {
        Some(Cow::Borrowed(name))
    }
}

/// RFC 3986 section 3.2.2, `reg-name`, without the comma that would make a list of it. A backslash, for one, is none of it:
/// browsers would read a redirect to `a\.example.com` as one to `a`.
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte)
}

/// RFC 3986 section 3.2.2, `IPv6address`.
fn is_of_address(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')
}

/// The name a wildcard would have to be for: what stands behind the first label.
pub(crate) fn parent(name: &str) -> Option<&str> {
    name.split_once('.')
        .filter(|(label, _)| !label.is_empty())
        .map(|(_, parent)| parent)
}

#[cfg(test)]
mod tests {
    use super::{Host, HostError, HostPattern, parent, routing_name};
    use proptest::prelude::{prop_assert_eq, proptest};

    fn check(text: &str, expected: Result<&str, HostError>) {
        let host = text.parse::<Host>();
        assert_eq!(
            host.as_ref().map(Host::as_str),
            expected.as_ref().copied(),
            "{text:?}"
        );
    }

    #[test]
    fn host_names_are_validated_and_lowered() {
        check("shop.example.com", Ok("shop.example.com"));
        check("Shop.Example.COM.", Ok("shop.example.com"));
        check("my_app.localhost", Ok("my_app.localhost"));
        check("127.0.0.1", Ok("127.0.0.1"));
        check("[::0001]", Ok("[::1]"));
        check("", Err(HostError::Empty));
        check(".", Err(HostError::Empty));
        check("a..b", Err(HostError::Invalid));
        check("-a.b", Err(HostError::Invalid));
        check("a b", Err(HostError::Invalid));
        check("a:80", Err(HostError::Invalid));
        check("bücher.example", Err(HostError::Invalid));
        check(&"a".repeat(64), Err(HostError::TooLong));
        check(&"a.".repeat(127), Ok(&"a.".repeat(127)[..253]));
        check(&"a.".repeat(128), Err(HostError::TooLong));
    }

    #[test]
    fn a_pattern_is_a_name_or_one_label_in_front_of_one() {
        let shown = |text: &str| text.parse::<HostPattern>().map(|found| found.to_string());
        assert_eq!(shown("*.Example.com").as_deref(), Ok("*.example.com"));
        assert_eq!(shown("example.com.").as_deref(), Ok("example.com"));
        for refused in ["*", "*.", "a.*.b", "*.*.b", "*a.b"] {
            assert!(shown(refused).is_err(), "{refused:?}");
        }
        assert_eq!(parent("a.b.c"), Some("b.c"));
        assert_eq!(parent("a"), None);
        assert_eq!(parent(".a"), None);
    }

    fn check_name(header: &str, expected: Option<&str>) {
        assert_eq!(routing_name(header).as_deref(), expected, "{header:?}");
    }

    #[test]
    fn the_host_header_is_read_without_port_case_and_trailing_dot() {
        check_name("shop.localhost", Some("shop.localhost"));
        check_name("Shop.localhost:8080", Some("shop.localhost"));
        check_name("shop.localhost.", Some("shop.localhost"));
        check_name("shop.localhost.:80", Some("shop.localhost"));
        check_name("shop.localhost:", Some("shop.localhost"));
        check_name("[::1]:8080", Some("[::1]"));
        check_name("[::1]", Some("[::1]"));
        check_name("[::1]x", None);
        check_name("[::1", None);
        check_name("", None);
        check_name(":80", None);
        check_name("a:b", None);
        check_name("a:80:80", None);
        check_name("user@a", None);
        check_name("a/b", None);
        check_name("a, b", None);
    }

    #[test]
    fn a_host_that_browsers_read_as_another_is_refused() {
        for header in [
            "evil\\.test",
            "a\\",
            "a<b.test",
            "a\"b",
            "a`b",
            "a{b}",
            "a|b",
            "a^b",
            "a[b]",
            "[a\\]",
        ] {
            check_name(header, None);
        }
        check_name("a_b~c.test", Some("a_b~c.test"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_panic(header in ".*") {
            let _ = routing_name(&header);
            let _ = header.parse::<Host>();
        }

        #[test]
        fn port_case_and_trailing_dot_do_not_matter(name in "[a-z0-9]{1,8}(\\.[a-z0-9]{1,8}){0,3}", port in 0u16..) {
            for text in [name.clone(), name.to_uppercase(), format!("{name}."), format!("{name}:{port}"), format!("{name}.:{port}")] {
                let routed = routing_name(&text);
                prop_assert_eq!(routed.as_deref(), Some(name.as_str()));
            }
        }
    }
}
