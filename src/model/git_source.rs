//! Repositories elsewhere: where they are, and what they ask for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{InvalidName, Secret};

/// The host of repositories, in lower case, with a port where it is not the usual one: `github.com`, `git.example.com:8443`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GitHost(String);

impl GitHost {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether what is sent there never leaves this machine.
    fn is_loopback(&self) -> bool {
        let name = self.0.split(':').next().unwrap_or_default();
        name == "localhost"
            || name
                .parse::<std::net::Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for GitHost {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        };
        let is_label = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let is_name = name.len() <= 253 && name.split('.').all(is_label);
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if is_name && is_port {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err(InvalidName {
            what: "host",
            rule: "A host of repositories is written like github.com or git.example.com:8443",
        })
    }
}

impl fmt::Display for GitHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for GitHost {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<GitHost> for String {
    fn from(host: GitHost) -> String {
        host.0
    }
}

/// Where a repository is that the server may fetch: https, or http without a password. Nothing else of what git takes for an
/// address: `ext::` runs programs, `file://` and paths read the server's own disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GitUrl {
    text: String,
    host: GitHost,
    is_encrypted: bool,
}

impl GitUrl {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its host.
    pub fn host(&self) -> &GitHost {
        &self.host
    }

    /// Scheme and host, as git names a place that passwords are for (gitcredentials(7)).
    pub fn origin(&self) -> String {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        format!("{scheme}://{}", self.host)
    }

    /// Whether a token may be sent there: nobody on the way can read it.
    pub fn is_private(&self) -> bool {
        self.is_encrypted || self.host.is_loopback()
    }
}

impl FromStr for GitUrl {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = |rule| InvalidName {
            what: "address of a repository",
            rule,
        };
        let (is_encrypted, rest) = if let Some(rest) = text.strip_prefix("https://") {
            (true, rest)
        } else if let Some(rest) = text.strip_prefix("http://") {
            (false, rest)
        } else {
            return Err(invalid(
                "A repository is fetched by https: https://github.com/me/shop.git",
            ));
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.contains('@') {
            return Err(invalid(
                "A user or password has no place in an address, where others could read it: give it once with git:auth HOST USER",
            ));
        }
        let is_path = !path.is_empty()
            && text.len() <= 2000
            && path
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"?#\\\"'<>".contains(&b));
        if !is_path {
            return Err(invalid(
                "The path of a repository has no spaces, quotes or parameters: https://github.com/me/shop.git",
            ));
        }
        let host: GitHost = host.parse()?;
        let scheme = if is_encrypted { "https" } else { "http" };
        Ok(Self {
            text: format!("{scheme}://{host}/{path}"),
            host,
            is_encrypted,
        })
    }
}

impl fmt::Display for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for GitUrl {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<GitUrl> for String {
    fn from(url: GitUrl) -> String {
        url.text
    }
}

/// What a host is told about who fetches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitCredential {
    /// The user; hosts that go by the token alone take any.
    pub user: String,
    /// The token or password.
    pub token: Secret,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_fetched_over_http_is_an_address() {
        let url: GitUrl = "https://GitHub.com/me/shop.git".parse().unwrap();
        assert_eq!(url.as_str(), "https://github.com/me/shop.git");
        assert_eq!(url.origin(), "https://github.com");
        assert!(url.is_private());
        let plain: GitUrl = "http://git.example.com:8080/a".parse().unwrap();
        assert!(!plain.is_private());
        let here: GitUrl = "http://127.0.0.1:8080/a".parse().unwrap();
        assert!(here.is_private());
        for (text, why) in [
            ("ext::sh -c id", "by https"),
            ("file:///etc", "by https"),
            ("/srv/blog.git", "by https"),
            ("--upload-pack=id", "by https"),
            ("ssh://git@host/a", "by https"),
            ("git@host:a", "by https"),
            ("https://ann:token@host/a", "git:auth"),
            ("https://host", "path of a repository"),
            ("https://host/a b", "path of a repository"),
            ("https://host/a\nb", "path of a repository"),
            ("https://-x/a", "A host"),
            ("https://host:0/a", "A host"),
            ("https://ho%73t/a", "A host"),
        ] {
            let refused = text.parse::<GitUrl>().expect_err(text);
            assert!(refused.rule.contains(why), "{text}: {refused}");
        }
    }
}
