//! Path prefixes, and how the path of a request is read when they choose.
//!
//! A path can be written in many ways, and an app may read it in another way than we do. So it is read twice
//! where that could matter: *as written*, where only percent-encoding is undone and an encoded slash separates
//! nothing, and *as resolved*, as the most eager of servers reads it: encoded and backward slashes separate,
//! empty segments, `.` and `..` are resolved, and what follows a `;` in a segment is left out. Where the two
//! lead to different places the request is refused: neither `/a%70i` nor `/x/../api` nor `/api/..;/x` gets past
//! a route, and no two readers disagree about whose request it was.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest prefix in bytes; a limit against slips, far above what anybody types.
const MAX_PREFIX_BYTES: usize = 255;

/// The beginning of a path that a route is for: whole segments, such as `/api` or `/shop/admin`.
///
/// `/api` is for `/api`, `/api/` and `/api/x`, not for `/apix`. A slash at the end does not matter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PathPrefix(Arc<str>);

/// Why a text is no path prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PathPrefixError {
    /// It does not begin with a slash, or nothing follows the slash.
    #[error("a path begins with `/` and has at least one segment behind it")]
    NoSegment,
    /// An empty segment, `.` or `..`.
    #[error("a path has no empty segment, no `.` and no `..`")]
    NotResolved,
    /// A character that would have to be percent-encoded, or that readers disagree about.
    #[error("a path consists of letters, digits and `-._~!$&'()*+,=:@`, without any `%`")]
    Invalid,
    /// Longer than 255 bytes.
    #[error("a path has at most 255 characters")]
    TooLong,
}

impl PathPrefix {
    /// The prefix, with the slash at its beginning and none at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many segments it has, at least one.
    pub(crate) fn segments(&self) -> usize {
        self.0.bytes().filter(|b| *b == b'/').count()
    }

    fn begins(&self, path: &[u8]) -> bool {
        path.strip_prefix(self.0.as_bytes())
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
    }

    /// What is left of a path, as written, behind this prefix, which it must have: it begins with one slash.
    ///
    /// Slashes at its beginning become one: `//name` would be read as the address of a server.
    pub(crate) fn strip_from(&self, path: &str) -> String {
        let rest = path
            .match_indices('/')
            .nth(self.segments())
            .and_then(|(at, _)| path.get(at..))
            .unwrap_or_default();
        format!("/{}", rest.trim_start_matches(['/', '\\']))
    }
}

impl FromStr for PathPrefix {
    type Err = PathPrefixError;

    fn from_str(text: &str) -> Result<PathPrefix, PathPrefixError> {
        let path = text.strip_suffix('/').unwrap_or(text);
        let Some(segments) = path.strip_prefix('/') else {
            return Err(PathPrefixError::NoSegment);
        };
        if path.len() > MAX_PREFIX_BYTES {
            return Err(PathPrefixError::TooLong);
        }
        let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@/".contains(&b);
        if !path.bytes().all(is_allowed) {
            return Err(PathPrefixError::Invalid);
        }
        if segments
            .split('/')
            .any(|segment| matches!(segment, "" | "." | ".."))
        {
            return Err(PathPrefixError::NotResolved);
        }
        Ok(PathPrefix(path.into()))
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The path of a request in both readings.
pub(crate) enum Readings<'a> {
    /// Nothing in it can be read in two ways.
    Same(&'a [u8]),
    /// As written and as resolved.
    Both(Vec<u8>, Vec<u8>),
}

impl<'a> Readings<'a> {
    /// Reads the path of a target, without its query. `*` (of `OPTIONS *`) is read as `/`.
    pub(crate) fn of(path: &'a str) -> Readings<'a> {
        if !path.starts_with('/') {
            return Readings::Same(b"/");
        }
        let is_plain = !path.bytes().any(|b| matches!(b, b'%' | b'\\' | b';'))
            && !path.contains("//")
            && !path.contains("/.");
        if is_plain {
            Readings::Same(path.as_bytes())
        } else {
            Readings::Both(as_written(path), as_resolved(path))
        }
    }

    /// Which of `prefixes`, ordered with the longest first, the path has: as written, and as resolved.
    pub(crate) fn longest<'p>(
        &self,
        prefixes: impl Iterator<Item = &'p PathPrefix> + Clone,
    ) -> (Option<usize>, Option<usize>) {
        let position = |path: &[u8]| prefixes.clone().position(|prefix| prefix.begins(path));
        match self {
            Readings::Same(path) => {
                let found = position(path);
                (found, found)
            }
            Readings::Both(written, resolved) => (position(written), position(resolved)),
        }
    }
}

/// Percent-encoding undone, but for an encoded slash: that one separates nothing.
fn as_written(path: &str) -> Vec<u8> {
    decoded(path, |byte| byte != b'/')
}

/// The path as the most eager reader sees it.
fn as_resolved(path: &str) -> Vec<u8> {
    let decoded = decoded(path, |_| true);
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in decoded.split(|b| matches!(b, b'/' | b'\\')) {
        let end = segment.iter().position(|b| *b == b';');
        match segment
            .get(..end.unwrap_or(segment.len()))
            .unwrap_or(segment)
        {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut resolved = Vec::with_capacity(decoded.len());
    for segment in segments {
        resolved.push(b'/');
        resolved.extend_from_slice(segment);
    }
    resolved
}

/// Undoes percent-encoding (RFC 3986 section 2.1) of the bytes `is_undone` accepts. What is no encoding stays.
fn decoded(path: &str, is_undone: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        if let (b'%', [high, low, after @ ..]) = (*first, tail)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
            && is_undone(high << 4 | low)
        {
            out.push(high << 4 | low);
            rest = after;
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::{PathPrefix, PathPrefixError, Readings};
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    fn check(text: &str, expected: Result<&str, PathPrefixError>) {
        let prefix = text.parse::<PathPrefix>();
        let prefix = prefix.as_ref().map(PathPrefix::as_str);
        assert_eq!(prefix, expected.as_ref().copied(), "{text:?}");
    }

    #[test]
    fn a_prefix_is_whole_segments_that_read_one_way() {
        check("/api", Ok("/api"));
        check("/api/", Ok("/api"));
        check("/a/b-c.d~e", Ok("/a/b-c.d~e"));
        check("/.well-known", Ok("/.well-known"));
        check("api", Err(PathPrefixError::NoSegment));
        check("", Err(PathPrefixError::NoSegment));
        check("/", Err(PathPrefixError::NoSegment));
        check("//", Err(PathPrefixError::NotResolved));
        check("/a//b", Err(PathPrefixError::NotResolved));
        check("/a/../b", Err(PathPrefixError::NotResolved));
        check("/a%70i", Err(PathPrefixError::Invalid));
        check("/a;b", Err(PathPrefixError::Invalid));
        check("/a b", Err(PathPrefixError::Invalid));
        check("/a?b", Err(PathPrefixError::Invalid));
        check("/ü", Err(PathPrefixError::Invalid));
        check(
            &format!("/{}", "a".repeat(255)),
            Err(PathPrefixError::TooLong),
        );
    }

    /// The prefixes a path has, as written and as resolved.
    fn check_reading(path: &str, written: Option<&str>, resolved: Option<&str>) {
        let prefixes: Vec<PathPrefix> = ["/api/admin", "/api"].map(|p| p.parse().unwrap()).into();
        let found = Readings::of(path).longest(prefixes.iter());
        let name = |found: Option<usize>| found.map(|at| prefixes[at].as_str());
        assert_eq!(
            (name(found.0), name(found.1)),
            (written, resolved),
            "{path:?}"
        );
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_is_found() {
        let both = |path: &str, prefix: Option<&str>| check_reading(path, prefix, prefix);
        both("/", None);
        both("*", None);
        both("/api", Some("/api"));
        both("/api/", Some("/api"));
        both("/api/x", Some("/api"));
        both("/apix", None);
        both("/API", None);
        both("/api/admin", Some("/api/admin"));
        both("/api/administrator", Some("/api"));
        both("/a%70i/x", Some("/api"));
        both("/%61%70%69/%61dmin", Some("/api/admin"));
        both("/api/a%2Fb", Some("/api"));
        both("/x/%2e%2e/y", None);
        both("/api/./x//y;v=1", Some("/api"));
        both("/%zz/%", None);
    }

    #[test]
    fn what_can_be_read_in_two_ways_shows_both() {
        check_reading("/api/../x", Some("/api"), None);
        check_reading("/x/../api", None, Some("/api"));
        check_reading("/x/%2e%2e/api", None, Some("/api"));
        check_reading("/api%2Fx", None, Some("/api"));
        check_reading("/api%5cx", None, Some("/api"));
        check_reading("/api\\x", None, Some("/api"));
        check_reading("//api", None, Some("/api"));
        check_reading("/./api", None, Some("/api"));
        check_reading("/api;v=1/x", None, Some("/api"));
        check_reading("/api/..;/x", Some("/api"), None);
        check_reading("/api/%61dmin/..", Some("/api/admin"), Some("/api"));
    }

    #[test]
    fn a_stripped_path_begins_with_one_slash() {
        let strip = |prefix: &str, path: &str| {
            let prefix: PathPrefix = prefix.parse().unwrap();
            prefix.strip_from(path)
        };
        assert_eq!(strip("/api", "/api"), "/");
        assert_eq!(strip("/api", "/api/"), "/");
        assert_eq!(strip("/api", "/api/x"), "/x");
        assert_eq!(strip("/api", "/%61pi/x%2Fy"), "/x%2Fy");
        assert_eq!(strip("/api", "/api//evil.example"), "/evil.example");
        assert_eq!(strip("/api", "/api/\\evil.example"), "/evil.example");
        assert_eq!(strip("/a/b", "/a/b/c/d"), "/c/d");
    }

    proptest! {
        #[test]
        fn any_path_is_read_without_panic(path in "/.*") {
            let prefix: PathPrefix = "/a".parse().unwrap();
            let _ = Readings::of(&path).longest([&prefix].into_iter());
            let _ = prefix.strip_from(&path);
        }

        #[test]
        fn percent_encoding_does_not_change_where_a_path_leads(
            segments in proptest::collection::vec("[a-c]{1,2}", 1..4),
            encoded in proptest::collection::vec(proptest::bool::ANY, 12),
            prefix in "/[a-c]{1,2}(/[a-c]{1,2})?",
        ) {
            let prefix: PathPrefix = prefix.parse().unwrap();
            let plain = format!("/{}", segments.join("/"));
            let mut disguised = String::new();
            for (byte, is_encoded) in plain.bytes().zip(encoded.into_iter().cycle()) {
                if byte != b'/' && is_encoded {
                    disguised.push_str(&format!("%{byte:02X}"));
                } else {
                    disguised.push(char::from(byte));
                }
            }
            let found = Readings::of(&plain).longest([&prefix].into_iter());
            prop_assert_eq!(found.0, found.1);
            prop_assert_eq!(Readings::of(&disguised).longest([&prefix].into_iter()), found);
            if found.0.is_some() {
                let rest = prefix.strip_from(&disguised);
                prop_assert!(rest.starts_with('/') && !rest.starts_with("//"));
            }
        }

        #[test]
        fn a_detour_is_never_read_as_one_thing_by_all(name in "[a-c]{1,3}", prefix in "/[a-c]{1,3}") {
            let prefix: PathPrefix = prefix.parse().unwrap();
            for detour in ["..", "%2e%2e", ".%2E", "..;x"] {
                let path = format!("/{name}/{detour}{prefix}");
                let (written, resolved) = Readings::of(&path).longest([&prefix].into_iter());
                prop_assert_eq!(resolved, Some(0));
                // Where both agree, the name before the detour was the prefix itself.
                prop_assert_eq!(written.is_some(), format!("/{name}") == prefix.as_str());
            }
        }
    }
}
