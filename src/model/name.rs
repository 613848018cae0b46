//! Names that come from outside: each is checked once, by `FromStr`, and is safe to use afterwards.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a name was refused: `what` it is a name of, and the `rule` it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub struct InvalidName {
    /// The kind of name, for a sentence: "app name".
    pub what: &'static str,
    /// The rule, as a whole sentence a user can act on.
    pub rule: &'static str,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident, $what:literal, $rule:literal, $check:expr) => {
        name_type!($(#[$doc])* $type, $what, |text: &str| {
            let check: fn(&str) -> bool = $check;
            (!check(text)).then_some($rule)
        });
    };
    ($(#[$doc:meta])* $type:ident, $what:literal, $broken:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                let broken: fn(&str) -> Option<&'static str> = $broken;
                match broken(text) {
                    None => Ok(Self(text.to_owned())),
                    Some(rule) => Err(InvalidName { what: $what, rule }),
                }
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type!(
    /// Who may pass where an app asks for a password. Without a colon, which ends the name on the wire (RFC 7617 section 2).
    UserName,
    "user",
    "A user name has letters, digits and any of . _ @ + -, 64 characters at most",
    |text| is_within(text, 64)
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._@+-".contains(&b))
);

name_type!(
    /// An app's name: also its folder, its repository and the first label of its default host name, hence at most 63
    /// characters (RFC 1035, section 2.3.4). The alphabet is Dokku's.
    AppName,
    "app name",
    broken_by_app_name
);

/// The rule that a text breaks as the name of an app.
fn broken_by_app_name(text: &str) -> Option<&'static str> {
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('-') && !part.ends_with('-');
    let is_letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
    if !is_within(text, 63) || !text.split('.').all(is_part) || !text.bytes().all(is_letter) {
        return Some(
            "App name must begin with lowercase alphanumeric character, and may only contain lowercase alphanumerics, dots, and hyphens, 63 characters at most",
        );
    }
    matches!(text, "mini" | "git" | "dokku" | "api" | "admin")
        .then_some("App name must not be mini, git, dokku, api or admin, which mean other things")
}

impl AppName {
    /// Whether an app may get this name. One that has it from before keeps it, until it is renamed.
    ///
    /// # Errors
    /// What is pushed to it would go to another app.
    pub fn require_new(&self) -> Result<(), InvalidName> {
        match self.0.ends_with(".git") {
            true => Err(InvalidName {
                what: "app name",
                rule: "App name must not end in .git: what is pushed to mini:shop.git goes to the app shop",
            }),
            false => Ok(()),
        }
    }
}

name_type!(
    /// A process type of a Procfile: `web`, `worker`.
    ProcessType,
    "process type",
    "A process type is letters, digits, `_` and `-`, 63 characters at most",
    |text| is_within(text, 63) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
);

name_type!(
    /// A host name given to an app, in lower case; `*.example.com` stands for any one label in front of `example.com`.
    DomainName,
    "domain",
    "A domain is a host name in lower case such as `shop.example.com`: labels of letters, digits and hyphens, no port, no path; `*.` may stand in front",
    |text| {
        is_within(text, 253)
            && text.strip_prefix("*.").unwrap_or(text).split('.').all(|label| {
                is_within(label, 63)
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
            })
    }
);

impl DomainName {
    /// Whether it stands for many names.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }
}

name_type!(
    /// The key of a config var: a name every shell accepts.
    ConfigKey,
    "config var name",
    "A config var name is letters, digits and `_`, and does not begin with a digit",
    |text| {
        is_within(text, 255)
            && !text.starts_with(|c: char| c.is_ascii_digit())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    }
);

name_type!(
    /// The name of a folder of the storage, and nothing that leads out of there.
    StorageName,
    "storage name",
    "The name of a folder of the storage begins with a letter or digit and has letters, digits, `.`, `_` and `-`, 63 characters at most",
    |text| {
        is_within(text, 63)
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    }
);

name_type!(
    /// The name an operator gives to an SSH key.
    KeyName,
    "key name",
    "A key name is letters, digits, `.`, `_`, `@` and `-`, 64 characters at most",
    |text| {
        is_within(text, 64)
            && !text.starts_with('-')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'@' | b'-'))
    }
);

name_type!(
    /// A branch without `refs/heads/`.
    BranchName,
    "branch",
    "A branch is a name git accepts, without spaces or control characters",
    |text| {
        is_within(text, 200)
            && !text.starts_with(['-', '/', '.'])
            && !text.ends_with(['/', '.'])
            && !text.ends_with(".lock")
            && !text.contains("..")
            && !text.contains("//")
            && !text.contains("@{")
            && !text.bytes().any(|b| b <= b' ' || b == 0x7f || matches!(b, b'~' | b'^' | b':' | b'?' | b'*' | b'[' | b'\\'))
    }
);

name_type!(
    /// The id of a git object: 40 or 64 hexadecimal digits.
    CommitId,
    "commit",
    "A commit id is 40 or 64 hexadecimal digits",
    |text| matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
);

impl CommitId {
    /// The first seven digits, as git shortens an id.
    pub fn short(&self) -> &str {
        self.0.get(..7).unwrap_or(&self.0)
    }

    /// Whether this is the all-zero id that git uses for "no object".
    pub fn is_zero(&self) -> bool {
        self.0.bytes().all(|b| b == b'0')
    }
}

name_type!(
    /// The content id of an image, `sha256:` and 64 hexadecimal digits.
    ImageId,
    "image id",
    "An image id is `sha256:` and 64 hexadecimal digits",
    |text| text
        .strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
);

impl ProcessType {
    /// The type that receives requests.
    pub fn web() -> Self {
        Self("web".to_owned())
    }

    /// Whether this type receives requests.
    pub fn is_web(&self) -> bool {
        self.0 == "web"
    }
}

/// The number of a release within its app, counted from 1 and printed as `v1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseVersion(pub u32);

impl fmt::Display for ReleaseVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl FromStr for ReleaseVersion {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        text.strip_prefix('v')
            .unwrap_or(text)
            .parse()
            .ok()
            .filter(|number| *number > 0)
            .map(Self)
            .ok_or(InvalidName {
                what: "release",
                rule: "A release is a number such as `v3` or `3`",
            })
    }
}

fn is_within(text: &str, limit: usize) -> bool {
    !text.is_empty() && text.len() <= limit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr>(good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(text.parse::<T>().is_ok(), "{text:?} should be accepted");
        }
        for text in bad {
            assert!(text.parse::<T>().is_err(), "{text:?} should be refused");
        }
    }

    #[test]
    fn app_names_are_dokkus_and_fit_a_dns_label() {
        let long = "a".repeat(64);
        check::<AppName>(
            &["blog", "b", "9lives", "node-js.app", "shop.example.com"],
            &[
                "", "Test;id", "../x", "-x", ".x", "x.", "a..b", "a_b", "Blog", "a b", "mini",
                &long,
            ],
        );
    }

    /// An app `x.git` could be created, and what was pushed to it went to `x`.
    #[test]
    fn a_refused_app_name_is_told_why() {
        for (text, rule) in [
            ("git", "must not be mini, git,"),
            (".git", "may only contain lowercase"),
        ] {
            let refused = text.parse::<AppName>().unwrap_err();
            assert!(refused.rule.contains(rule), "{text}: {refused}");
        }
        // It can be read, for a server may have such an app.
        for text in ["x.git", "a.b.git"] {
            let refused = text.parse::<AppName>().unwrap().require_new().unwrap_err();
            assert!(refused.rule.contains("must not end in .git"), "{refused}");
        }
        for text in ["git.x", "x-git"] {
            assert_eq!(text.parse::<AppName>().unwrap().require_new(), Ok(()));
        }
    }

    #[test]
    fn other_names_keep_to_their_rules() {
        check::<ProcessType>(&["web", "worker_2", "A-b"], &["", "a b", "a:b", "ä"]);
        check::<DomainName>(
            &["a.b", "localhost", "*.a.b"],
            &[
                "", "A.b", "a..b", "a.b:80", "-a.b", "*", "*.", "*.*.b", "a.*.b", "*a.b",
            ],
        );
        check::<ConfigKey>(&["PORT", "_x", "a1"], &["", "1a", "a-b", "a=b", "a\n"]);
        check::<BranchName>(
            &["main", "feature/x"],
            &["", "a..b", "a b", "-x", "a.lock", "x~1"],
        );
        check::<ReleaseVersion>(&["v1", "12"], &["", "v0", "v-1", "vv1", "latest"]);
        check::<UserName>(&["me", "me@example.com"], &["", "a:b", "a b", "ä", "a\n"]);
        check::<KeyName>(&["me", "ci@github"], &["", "-x", "a b", "a\n"]);
    }
}
