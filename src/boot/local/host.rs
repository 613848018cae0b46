//! Where ssh finds a server.

use std::ffi::OsString;
use std::fmt;
use std::process::Command;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::{AppName, Kind, Problem};

/// Where ssh finds a server: any of the three ways in which ssh and git write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(in crate::boot) struct Host {
    user: Option<String>,
    name: String,
    port: Option<u16>,
}

impl FromStr for Host {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let invalid = |why: &str| {
            Problem::new(
                Kind::Usage,
                format!("`{}` is not a host", text.escape_debug()),
                why,
                "Write it as ssh takes it: a name of ~/.ssh/config, mini@HOST, or ssh://mini@HOST:2222",
            )
        };
        if text.starts_with("http://") || text.starts_with("https://") {
            return Err(invalid(
                "it is reached over ssh, with the key that git uses",
            ));
        }
        let rest = text.strip_prefix("ssh://").unwrap_or(text);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let (name, port) = match rest.strip_prefix('[') {
            Some(rest) => match rest.split_once(']') {
                Some((name, "")) => (name, None),
                Some((name, port)) => (name, port.strip_prefix(':').or(Some(port))),
                None => return Err(invalid("the bracket is not closed")),
            },
            None => match rest.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (rest, None),
            },
        };
        let port = match port.map(str::parse::<u16>) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => return Err(invalid("a port is a number from 1 to 65535")),
        };
        // What ssh puts into commands of its configuration (ProxyCommand) goes through a shell there.
        let is_plain = |text: &str, more: &[u8]| {
            !text.is_empty()
                && !text.starts_with('-')
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b) || more.contains(&b))
        };
        if !is_plain(name, b":%") || !user.is_none_or(|user| is_plain(user, b"+")) {
            return Err(invalid(
                "it has letters, digits, dots, hyphens and underscores",
            ));
        }
        // Where a port is named, it is mini's own ssh server, and no entry of ~/.ssh/config has to say who logs in.
        let user = user.or(port.map(|_| "mini"));
        Ok(Self {
            user: user.map(str::to_owned),
            name: name.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_address = self.name.contains(':');
        if self.port.is_some() || is_address {
            f.write_str("ssh://")?;
        }
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match is_address {
            true => write!(f, "[{}]", self.name)?,
            false => f.write_str(&self.name)?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for Host {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|problem: Problem| problem.to_string())
    }
}

impl From<Host> for String {
    fn from(host: Host) -> String {
        host.to_string()
    }
}

impl Host {
    /// The URL of an app there for git.
    pub(in crate::boot) fn remote(&self, app: &AppName) -> String {
        let host = self.to_string();
        if host.starts_with("ssh://") {
            format!("{host}/{app}")
        } else {
            format!("{host}:{app}")
        }
    }

    /// The line that runs a command there, for a message.
    pub(in crate::boot) fn line(&self, command: &str) -> String {
        let port = self.port.map(|port| format!("-p {port} "));
        let user = self.user.as_ref().map(|user| format!("{user}@"));
        format!(
            "`ssh {}{}{} {command}`",
            port.unwrap_or_default(),
            user.unwrap_or_default(),
            self.name
        )
    }

    /// ssh as git would call it, before the command: `GIT_SSH_COMMAND` is a line for the shell (git(1)). `terminal` is its flag
    /// for one, `-t` or `-T`.
    pub(in crate::boot) fn ssh(&self, terminal: &str) -> Command {
        let line = std::env::var_os("GIT_SSH_COMMAND").filter(|line| !line.is_empty());
        let mut command = match line {
            Some(line) => {
                let mut script = line;
                script.push(OsString::from(" \"$@\""));
                let mut command = Command::new("/bin/sh");
                command.arg("-c").arg(script).arg("mini");
                command
            }
            None => Command::new("ssh"),
        };
        command.arg(terminal).args(self.words());
        command
    }

    /// What ssh is told of it.
    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(port) = self.port {
            words.extend(["-p".to_owned(), port.to_string()]);
        }
        if let Some(user) = &self.user {
            words.extend(["-l".to_owned(), user.clone()]);
        }
        words.extend(["--".to_owned(), self.name.clone()]);
        words
    }
}

/// Host and app of the URL of a remote, if it leads to a server over ssh.
pub(in crate::boot) fn of_remote(url: &str) -> Option<(Host, Option<AppName>)> {
    let (host, path) = match url.strip_prefix("ssh://") {
        Some(rest) => rest
            .split_once('/')
            .map(|(host, path)| (format!("ssh://{host}"), path))?,
        None if url.contains("://") => return None,
        None => {
            let (host, path) = url.split_once(':')?;
            // A path of this machine with a colon in it.
            if host.contains('/') {
                return None;
            }
            (host.to_owned(), path)
        }
    };
    let path = path.trim_start_matches("~/").trim_matches('/');
    let app = path.strip_suffix(".git").unwrap_or(path).parse().ok();
    Some((host.parse().ok()?, app))
}

/// ssh could not be started.
pub(in crate::boot) fn no_ssh(error: &std::io::Error) -> Problem {
    Problem::new(
        Kind::Unavailable,
        "ssh could not be run",
        error.to_string(),
        "Install the OpenSSH client (`apt-get install openssh-client`)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_in_each_form_and_written_as_git_takes_it() {
        let app: AppName = "blog".parse().unwrap();
        for (text, words, remote) in [
            ("mini", "-- mini", "mini:blog"),
            (
                "me@example.com",
                "-l me -- example.com",
                "me@example.com:blog",
            ),
            (
                "ssh://git@example.com:2222/",
                "-p 2222 -l git -- example.com",
                "ssh://git@example.com:2222/blog",
            ),
            (
                "example.com:2222",
                "-p 2222 -l mini -- example.com",
                "ssh://mini@example.com:2222/blog",
            ),
            (
                "ssh://[2001:db8::1]:2222",
                "-p 2222 -l mini -- 2001:db8::1",
                "ssh://mini@[2001:db8::1]:2222/blog",
            ),
        ] {
            let host: Host = text.parse().unwrap();
            assert_eq!(host.words().join(" "), words, "{text}");
            assert_eq!(host.remote(&app), remote, "{text}");
            let again = of_remote(remote).unwrap();
            assert_eq!(again, (host, Some(app.clone())), "{text}");
        }
        for (text, why) in [
            ("-oProxyCommand=x", "letters, digits"),
            ("a b", "letters, digits"),
            ("$(x)", "letters, digits"),
            ("-x@host", "letters, digits"),
            ("", "letters, digits"),
            ("host:port", "a port"),
            ("host:0", "a port"),
            ("[::1", "bracket"),
            ("http://1.2.3.4", "over ssh"),
        ] {
            let problem = text.parse::<Host>().expect_err(text);
            assert!(problem.why.contains(why), "{text}: {problem}");
        }
    }

    #[test]
    fn remotes_that_lead_elsewhere_are_none_of_ours() {
        for url in [
            "https://example.com/blog",
            "/srv/blog.git",
            "../a:b",
            "file:///x",
        ] {
            assert_eq!(of_remote(url), None, "{url}");
        }
        let (_, app) = of_remote("mini:Not An App").unwrap();
        assert_eq!(app, None);
        let (_, app) = of_remote("git@host:~/blog.git").unwrap();
        assert_eq!(app.unwrap().as_str(), "blog");
    }
}
