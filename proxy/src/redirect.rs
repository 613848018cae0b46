//! Redirects: an address that answers with where to go instead.

use crate::host::Host;
use crate::https::Hsts;
use crate::path::PathPrefix;
use crate::policy::Policy;
use http::{StatusCode, Uri};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What is answered instead of an app.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redirect {
    /// Whose it is, for counters and logs; redirects count with services of the same name.
    pub name: String,
    /// How it is answered.
    pub status: RedirectStatus,
    /// Where to.
    pub to: Destination,
    /// What browsers are told over HTTPS about coming back, if anything.
    pub hsts: Option<Hsts>,
    /// Its pages are shown for paths of the host that lead nowhere.
    pub policy: Arc<Policy>,
}

/// The status of a redirect (RFC 9110 section 15.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RedirectStatus {
    /// 301: for good; clients may repeat a POST as GET.
    MovedPermanently,
    /// 302: for now; clients may repeat a POST as GET.
    Found,
    /// 307: for now, with the same method and body.
    Temporary,
    /// 308: for good, with the same method and body.
    Permanent,
}

impl RedirectStatus {
    /// The status of this number, if it is one of 301, 302, 307 and 308.
    pub fn from_code(code: u16) -> Option<RedirectStatus> {
        match code {
            301 => Some(RedirectStatus::MovedPermanently),
            302 => Some(RedirectStatus::Found),
            307 => Some(RedirectStatus::Temporary),
            308 => Some(RedirectStatus::Permanent),
            _ => None,
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            RedirectStatus::MovedPermanently => StatusCode::MOVED_PERMANENTLY,
            RedirectStatus::Found => StatusCode::FOUND,
            RedirectStatus::Temporary => StatusCode::TEMPORARY_REDIRECT,
            RedirectStatus::Permanent => StatusCode::PERMANENT_REDIRECT,
        }
    }
}

/// Where a redirect leads, as it is written: `example.com`, `https://example.com`, `/new`,
/// `https://example.com/new/*`.
///
/// Without a scheme the request's own is kept, and without a host its host. Without a path its path and query
/// are kept; a path is the whole of the new one, unless it ends with `/*`: that stands for what the request has
/// behind the path the redirect is for, with its query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destination {
    scheme: Option<Scheme>,
    authority: Option<Authority>,
    path: NewPath,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scheme {
    Http,
    Https,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Authority {
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum NewPath {
    Kept,
    /// With the query, if it has one.
    Whole(Arc<str>),
    /// Ends with a slash.
    Under(Arc<str>),
}

/// Why a text is no destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "a destination is a host, a path or a URL, such as `example.com`, `/new` or `https://example.com/new/*`"
)]
pub struct DestinationError;

/// What of a request a redirect needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) scheme: &'a str,
    /// As the client wrote it, with its port.
    pub(crate) host: &'a str,
    pub(crate) target: &'a Uri,
    /// The path the redirect is for, if it is not for the whole host.
    pub(crate) prefix: Option<&'a PathPrefix>,
}

impl Destination {
    /// The host it names, if it leads to another one.
    pub fn host(&self) -> Option<&Host> {
        self.authority.as_ref().map(|authority| &authority.host)
    }

    /// The new path, or what it begins with, if the request's own is not kept.
    pub fn path(&self) -> Option<&str> {
        match &self.path {
            NewPath::Kept => None,
            NewPath::Whole(path) | NewPath::Under(path) => Some(path),
        }
    }

    /// The value of `Location`.
    pub(crate) fn location(&self, asked: Asked<'_>) -> String {
        let scheme = match self.scheme {
            Some(Scheme::Http) => "http",
            Some(Scheme::Https) => "https",
            None => asked.scheme,
        };
        let mut location = format!("{scheme}://");
        match &self.authority {
            None => location.push_str(asked.host),
            Some(Authority { host, port }) => {
                location.push_str(host.as_str());
                let asked_port = || {
                    let (_, port) = asked.host.rsplit_once(':')?;
                    port.parse().ok()
                };
                // Another scheme has another port.
                let kept = || self.scheme.is_none().then(asked_port).flatten();
                if let Some(port) = port.or_else(kept) {
                    location.push_str(&format!(":{port}"));
                }
            }
        }
        let path = match asked.target.path() {
            path if path.starts_with('/') => path,
            _ => "/",
        };
        match &self.path {
            NewPath::Whole(path) => {
                location.push_str(path);
                return location;
            }
            NewPath::Kept => location.push_str(path),
            NewPath::Under(base) => {
                let rest = match asked.prefix {
                    Some(prefix) => prefix.strip_from(path),
                    None => path.to_owned(),
                };
                location.push_str(base);
                location.push_str(rest.trim_start_matches('/'));
            }
        }
        if let Some(query) = asked.target.query() {
            location.push('?');
            location.push_str(query);
        }
        location
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Destination, DestinationError> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some(Scheme::Http), rest),
            Some(("https", rest)) => (Some(Scheme::Https), rest),
            Some(_) => return Err(DestinationError),
            None => (None, text),
        };
        let (authority, path) = match rest.find(['/', '?', '#']) {
            Some(at) => rest.split_at_checked(at).ok_or(DestinationError)?,
            None => (rest, ""),
        };
        let authority = match authority {
            // A scheme alone leads to the same host over it.
            "" if scheme.is_none() && path.is_empty() => return Err(DestinationError),
            "" if scheme.is_some() => return Err(DestinationError),
            "" => None,
            authority => Some(authority.parse()?),
        };
        Ok(Destination {
            scheme,
            authority,
            path: new_path(path)?,
        })
    }
}

impl FromStr for Authority {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Authority, DestinationError> {
        let (host, port) = match text.rsplit_once(':') {
            // The colons of an IPv6 address stand before its bracket.
            Some((host, port)) if !port.contains(']') => {
                let port = port.parse().map_err(|_| DestinationError)?;
                (host, Some(port))
            }
            Some(_) | None => (text, None),
        };
        let host = host.parse().map_err(|_| DestinationError)?;
        Ok(Authority { host, port })
    }
}

fn new_path(text: &str) -> Result<NewPath, DestinationError> {
    if text.is_empty() {
        return Ok(NewPath::Kept);
    }
    // What a header line cannot hold, and what browsers read as a slash.
    let is_plain = text
        .bytes()
        .all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b'"' | b'<' | b'>'));
    // `//name` would be read as another host.
    if !text.starts_with('/') || text.starts_with("//") || !is_plain {
        return Err(DestinationError);
    }
    if let Some(base) = text.strip_suffix('*')
        && base.ends_with('/')
    {
        return if base.contains(['*', '?', '#']) {
            Err(DestinationError)
        } else {
            Ok(NewPath::Under(base.into()))
        };
    }
    if text.contains('*') {
        return Err(DestinationError);
    }
    Ok(NewPath::Whole(text.into()))
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            Some(Scheme::Http) => f.write_str("http://")?,
            Some(Scheme::Https) => f.write_str("https://")?,
            None => {}
        }
        if let Some(Authority { host, port }) = &self.authority {
            host.fmt(f)?;
            if let Some(port) = port {
                write!(f, ":{port}")?;
            }
        }
        match &self.path {
            NewPath::Kept => Ok(()),
            NewPath::Whole(path) => f.write_str(path),
            NewPath::Under(base) => write!(f, "{base}*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, Destination};
    use proptest::prelude::{prop_assert_eq, proptest};

    /// Asked for `http://HOST:8080TARGET` at a redirect for `prefix`.
    fn check(destination: &str, prefix: Option<&str>, target: &str, expected: &str) {
        let to: Destination = destination.parse().unwrap();
        assert_eq!(to.to_string(), destination);
        let prefix = prefix.map(|prefix| prefix.parse().unwrap());
        let location = to.location(Asked {
            scheme: "http",
            host: "old.test:8080",
            target: &target.parse().unwrap(),
            prefix: prefix.as_ref(),
        });
        assert_eq!(location, expected, "{destination} for {target}");
    }

    #[test]
    fn what_a_destination_leaves_open_is_kept() {
        check("new.test", None, "/a?b=c", "http://new.test:8080/a?b=c");
        check("new.test:81", None, "/a", "http://new.test:81/a");
        check("https://new.test", None, "/a?b", "https://new.test/a?b");
        check("https://new.test:8443", None, "/", "https://new.test:8443/");
        check("[::1]", None, "/", "http://[::1]:8080/");
        check("/new", Some("/old"), "/old/x?y", "http://old.test:8080/new");
        check("/new?z=1", None, "/x?y", "http://old.test:8080/new?z=1");
        check("https://new.test/", None, "/x?y", "https://new.test/");
        check(
            "/new/*",
            Some("/old"),
            "/old/x?y",
            "http://old.test:8080/new/x?y",
        );
        check("/new/*", Some("/old"), "/old", "http://old.test:8080/new/");
        check(
            "new.test/*",
            None,
            "//evil.test/",
            "http://new.test:8080/evil.test/",
        );
        check("new.test", None, "*", "http://new.test:8080/");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "ftp://x",
            "https://",
            "https:///x",
            "//x",
            "a b",
            "x/a b",
            "x/*/y",
            "x/y*",
            "x:y",
            "u@x",
            "/a\\b",
            "?x",
            "x?y",
            "javascript:alert(1)",
            "/ü",
            "/a\r\nb",
        ] {
            assert!(text.parse::<Destination>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_written_as_it_was(text in ".*") {
            if let Ok(to) = text.parse::<Destination>() {
                prop_assert_eq!(to.to_string().parse::<Destination>(), Ok(to));
            }
        }
    }
}
