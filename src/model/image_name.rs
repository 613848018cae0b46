//! The name of an image as people and registries write it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::InvalidName;

/// Longest name, characters; a repository alone may have 255 (distribution/reference, `NameTotalLengthMax`).
const LONGEST: usize = 255;

/// `nginx:alpine`, `registry.example.com:5000/team/shop@sha256:...`: a repository, with a registry in front of it where it is
/// not Docker's own, and the tag or the digest behind it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName {
    text: String,
    /// Where the repository ends.
    repository_end: usize,
    /// Where the digest begins, with its `@`; the length of the text where there is none.
    digest_at: usize,
}

impl ImageName {
    /// The name as it was typed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The digest that is part of it, `sha256:...`.
    pub fn digest(&self) -> Option<&str> {
        self.text.get(self.digest_at + 1..)
    }

    /// The repository as Docker lists it: Docker's own registry is not named.
    pub fn repository(&self) -> &str {
        let name = self.text.get(..self.repository_end).unwrap_or(&self.text);
        [
            "docker.io/library/",
            "index.docker.io/library/",
            "docker.io/",
            "index.docker.io/",
        ]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name)
    }

    /// The same name and the content it stood for, which does not change any more. `None` where `digests`, of the form
    /// `repository@sha256:...`, has none of this repository.
    pub fn pinned(&self, digests: &[String]) -> Option<String> {
        let digest = digests.iter().find_map(|known| {
            let (repository, digest) = known.split_once('@')?;
            (repository == self.repository()).then_some(digest)
        })?;
        let name = self.text.get(..self.digest_at).unwrap_or(&self.text);
        Some(format!("{name}@{digest}"))
    }
}

impl FromStr for ImageName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let digest_at = text.find('@').unwrap_or(text.len());
        let (name, digest) = text.split_at_checked(digest_at).unwrap_or((text, ""));
        let last = name.rfind('/').map_or(0, |at| at + 1);
        let tag_at = name.get(last..).and_then(|part| part.find(':'));
        let repository_end = tag_at.map_or(name.len(), |at| last + at);
        let (repository, tag) = name.split_at_checked(repository_end).unwrap_or((name, ""));
        let is_valid = text.len() <= LONGEST
            && is_repository(repository)
            && (tag.is_empty() || tag.strip_prefix(':').is_some_and(is_tag))
            && (digest.is_empty() || digest.strip_prefix("@sha256:").is_some_and(is_sha256));
        if !is_valid {
            return Err(InvalidName {
                what: "image",
                rule: "An image is written like nginx:alpine, registry.example.com/team/shop:1.2 or nginx@sha256:DIGEST, in lower case but for the tag",
            });
        }
        Ok(Self {
            text: text.to_owned(),
            repository_end,
            digest_at,
        })
    }
}

/// Parts in lower case; the first one is a registry where it looks like a host.
fn is_repository(text: &str) -> bool {
    let is_host = |part: &str| {
        part.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
            && (part == "localhost" || part.contains(['.', ':']))
    };
    let is_part = |part: &str| {
        let is_end =
            |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        is_end(part.bytes().next())
            && is_end(part.bytes().last())
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
    };
    match text.split_once('/') {
        Some((first, rest)) => (is_host(first) || is_part(first)) && rest.split('/').all(is_part),
        None => is_part(text),
    }
}

fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with(['.', '-'])
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

impl TryFrom<String> for ImageName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<ImageName> for String {
    fn from(name: ImageName) -> String {
        name.text
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
        let long = "a".repeat(300);
        for (text, expected) in [
            ("nginx".to_owned(), Some(("nginx", None))),
            ("nginx:1.27-alpine".to_owned(), Some(("nginx", None))),
            (
                "docker.io/library/nginx:1".to_owned(),
                Some(("nginx", None)),
            ),
            ("docker.io/team/shop".to_owned(), Some(("team/shop", None))),
            (
                "Registry.example:5000/team/shop:V1".to_owned(),
                Some(("Registry.example:5000/team/shop", None)),
            ),
            ("localhost/shop".to_owned(), Some(("localhost/shop", None))),
            (
                format!("nginx@{digest}"),
                Some(("nginx", Some(digest.as_str()))),
            ),
            (
                format!("nginx:1@{digest}"),
                Some(("nginx", Some(digest.as_str()))),
            ),
            (digest.clone(), Some(("sha256", None))),
            (String::new(), None),
            ("Nginx".to_owned(), None),
            ("nginx:".to_owned(), None),
            ("nginx:a b".to_owned(), None),
            ("nginx@sha256:12".to_owned(), None),
            ("nginx\nRUN x".to_owned(), None),
            ("/nginx".to_owned(), None),
            ("a//b".to_owned(), None),
            ("--flag".to_owned(), None),
            ("$X".to_owned(), None),
            (long, None),
        ] {
            let name: Option<ImageName> = text.parse().ok();
            let found = name.as_ref().map(|name| (name.repository(), name.digest()));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_name_is_pinned_to_the_digest_of_its_own_repository() {
        let digests = [
            "team/other@sha256:11".to_owned(),
            "nginx@sha256:22".to_owned(),
        ];
        let pinned = |text: &str| text.parse::<ImageName>().unwrap().pinned(&digests);
        assert_eq!(
            pinned("nginx:alpine").as_deref(),
            Some("nginx:alpine@sha256:22")
        );
        assert_eq!(
            pinned("docker.io/library/nginx").as_deref(),
            Some("docker.io/library/nginx@sha256:22")
        );
        assert_eq!(pinned("shop:1"), None);
    }
}
