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

    /// The name, and the port where there is one.
    pub fn name_and_port(&self) -> (&str, Option<&str>) {
        name_and_port(&self.0)
    }

    /// Whether what is sent there never leaves this machine.
    fn is_loopback(&self) -> bool {
        let (name, _) = self.name_and_port();
        name == "localhost"
            || name
                .parse::<std::net::Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

fn name_and_port(host: &str) -> (&str, Option<&str>) {
    match host.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    }
}

impl FromStr for GitHost {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (name, port) = name_and_port(text);
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

/// A key by which a host is known over ssh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostKey {
    /// Its kind, such as `ssh-ed25519`.
    pub kind: String,
    /// The key in base64.
    pub key: String,
    /// `SHA256:` and the hash in base64, as ssh shows it.
    pub fingerprint: String,
}

/// As it is compared with what the host publishes: fingerprint and kind.
impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.fingerprint, self.kind)
    }
}

/// Where a repository is that the server may fetch: https, http without a password, or ssh, also as `git@host:path`. Nothing else
/// of what git takes for an address: `ext::` runs programs, `file://` and paths read the server's own disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GitUrl {
    text: String,
    host: GitHost,
    transport: GitTransport,
}

/// How a repository is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitTransport {
    /// Where everybody on the way can read it.
    Http,
    /// With a token, where one is asked for.
    Https,
    /// With the server's deploy key.
    Ssh,
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

    /// How it is fetched.
    pub fn transport(&self) -> GitTransport {
        self.transport
    }

    /// Scheme and host, as git names a place that passwords are for (gitcredentials(7)).
    pub fn origin(&self) -> String {
        let scheme = match self.transport {
            GitTransport::Http => "http",
            GitTransport::Https => "https",
            GitTransport::Ssh => "ssh",
        };
        format!("{scheme}://{}", self.host)
    }

    /// Whether a token may be sent there: nobody on the way can read it.
    pub fn is_private(&self) -> bool {
        match self.transport {
            GitTransport::Https => true,
            GitTransport::Http => self.host.is_loopback(),
            GitTransport::Ssh => false,
        }
    }

    /// `ssh://git@host:22/path`, `git@host:path`: the part before the path has a user, and a port where it is not 22.
    fn over_ssh(user: &str, host: &str, path: &str) -> Result<GitHost, InvalidName> {
        let is_user = !user.is_empty()
            && !user.starts_with('-')
            && user
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !is_user {
            return Err(invalid(
                "An address over ssh names its user, and no password: git@github.com:me/shop.git",
            ));
        }
        if !is_path(path) {
            return Err(invalid(PATH_RULE));
        }
        host.strip_suffix(":22").unwrap_or(host).parse()
    }
}

const PATH_RULE: &str =
    "The path of a repository has no spaces, quotes or parameters: https://github.com/me/shop.git";
/// Bytes of an address at most.
const LONGEST: usize = 2000;

fn invalid(rule: &'static str) -> InvalidName {
    InvalidName {
        what: "address of a repository",
        rule,
    }
}

fn is_path(path: &str) -> bool {
    !path.is_empty()
        && !path.starts_with(':')
        && path.len() <= LONGEST
        && path
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"?#\\\"'<>".contains(&b))
}

impl FromStr for GitUrl {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (transport, rest) = if let Some(rest) = text.strip_prefix("https://") {
            (GitTransport::Https, rest)
        } else if let Some(rest) = text.strip_prefix("http://") {
            (GitTransport::Http, rest)
        } else if let Some(rest) = text.strip_prefix("ssh://") {
            let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
            let (user, host) = place.split_once('@').unwrap_or(("", place));
            let host = Self::over_ssh(user, host, path)?;
            return Ok(Self {
                text: format!("ssh://{user}@{host}/{path}"),
                host,
                transport: GitTransport::Ssh,
            });
        } else if let Some((user, rest)) = text.split_once('@')
            && let Some((host, path)) = rest.split_once(':')
            && !user.contains([':', '/'])
        {
            let host = Self::over_ssh(user, host, path)?;
            return Ok(Self {
                text: format!("{user}@{host}:{path}"),
                host,
                transport: GitTransport::Ssh,
            });
        } else {
            return Err(invalid(
                "A repository is fetched by https or ssh: https://github.com/me/shop.git, git@github.com:me/shop.git",
            ));
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.contains('@') {
            return Err(invalid(
                "A user or password has no place in an address, where others could read it: give it once with git:auth HOST USER",
            ));
        }
        if !is_path(path) {
            return Err(invalid(PATH_RULE));
        }
        let host: GitHost = host.parse()?;
        let scheme = match transport {
            GitTransport::Https => "https",
            GitTransport::Http | GitTransport::Ssh => "http",
        };
        Ok(Self {
            text: format!("{scheme}://{host}/{path}"),
            host,
            transport,
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
    fn only_what_is_fetched_over_http_or_ssh_is_an_address() {
        let url: GitUrl = "https://GitHub.com/me/shop.git".parse().unwrap();
        assert_eq!(url.as_str(), "https://github.com/me/shop.git");
        assert_eq!(url.origin(), "https://github.com");
        assert!(url.is_private());
        let plain: GitUrl = "http://git.example.com:8080/a".parse().unwrap();
        assert!(!plain.is_private());
        let here: GitUrl = "http://127.0.0.1:8080/a".parse().unwrap();
        assert!(here.is_private());
        for (text, host) in [
            ("git@github.com:me/shop.git", "github.com"),
            (
                "ssh://git@git.example.com:2222/srv/shop.git",
                "git.example.com:2222",
            ),
        ] {
            let url: GitUrl = text.parse().unwrap();
            assert_eq!((url.as_str(), url.host().as_str()), (text, host));
            assert_eq!(url.transport(), GitTransport::Ssh);
            assert!(!url.is_private(), "a token is not for ssh");
        }
        let usual: GitUrl = "ssh://git@GitHub.com:22/me/shop.git".parse().unwrap();
        assert_eq!(usual.as_str(), "ssh://git@github.com/me/shop.git");
        for (text, why) in [
            ("ext::sh -c id", "by https"),
            ("file:///etc", "by https"),
            ("/srv/blog.git", "by https"),
            ("--upload-pack=id", "by https"),
            ("git@ext::sh -c id", "path of a repository"),
            ("ssh://host/a", "names its user"),
            ("ssh://-oProxyCommand=id@host/a", "names its user"),
            ("ssh://git:secret@host/a", "names its user"),
            ("-oProxyCommand=id@host:a", "names its user"),
            ("ssh://git@-oProxyCommand=id/a", "A host"),
            ("git@-oProxyCommand=id:a", "A host"),
            ("ssh://git@host", "path of a repository"),
            ("git@host:a b", "path of a repository"),
            ("ssh://git@host:0/a", "A host"),
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
