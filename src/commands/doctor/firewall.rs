//! What the firewall of the machine lets through, as far as it can be read: ufw's rules, as Debian and Ubuntu have it.

use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Finding, Status};

const CHECK: &str = "firewall";
const FOLDER: &str = "/etc/ufw";
/// How ufw begins the comment that it writes before what a rule means for netfilter.
const TUPLE: &str = "### tuple ### ";

/// The rules of ufw, which only root may read: where the server is not root, `mini doctor` typed by root brings them along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    four: Vec<String>,
    six: Vec<String>,
}

impl Rules {
    /// Those of this machine; `None` where ufw is not there, or where they may not be read.
    pub(super) fn read() -> Option<Rules> {
        Rules::read_in(Path::new(FOLDER))
    }

    fn read_in(folder: &Path) -> Option<Rules> {
        let tuples = |name: &str| -> std::io::Result<Vec<String>> {
            let text = std::fs::read_to_string(folder.join(name))?;
            let tuples = text.lines().filter_map(|line| line.strip_prefix(TUPLE));
            Ok(tuples.map(str::to_owned).collect())
        };
        Some(Rules {
            four: tuples("user.rules").ok()?,
            // A machine without IPv6 has none.
            six: tuples("user6.rules").unwrap_or_default(),
        })
    }
}

/// Whether ufw is on, and then whether the ports of `listeners` are open; those that listen to this machine only need not be.
/// `brought` are the rules as the caller has read them.
pub(super) fn ufw(brought: Option<Rules>, listeners: &[SocketAddr]) -> Finding {
    let folder = Path::new(FOLDER);
    found(is_on(folder), Rules::read_in(folder).or(brought), listeners)
}

fn is_on(folder: &Path) -> bool {
    std::fs::read_to_string(folder.join("ufw.conf"))
        .is_ok_and(|text| text.lines().any(|line| line.trim() == "ENABLED=yes"))
}

fn found(is_on: bool, rules: Option<Rules>, listeners: &[SocketAddr]) -> Finding {
    let mut ports: Vec<u16> = listeners
        .iter()
        .filter(|address| !address.ip().is_loopback())
        .map(SocketAddr::port)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    if !is_on {
        return Finding::ok(
            CHECK,
            "ufw is not on; a firewall of the provider is not seen from here",
        );
    }
    let Some(rules) = rules else {
        return Finding::ok(
            CHECK,
            format!(
                "ufw is on, and its rules are for root alone; `sudo mini doctor` on the server says whether {} are open",
                listed(&ports)
            ),
        );
    };
    let is_six = listeners.iter().any(SocketAddr::is_ipv6);
    let closed = |port: &u16| {
        !is_open(&rules.four, *port)
            || (is_six && !rules.six.is_empty() && !is_open(&rules.six, *port))
    };
    let closed: Vec<u16> = ports.iter().copied().filter(closed).collect();
    judged(&ports, &closed)
}

fn judged(ports: &[u16], closed: &[u16]) -> Finding {
    if closed.is_empty() {
        return Finding::ok(CHECK, format!("ufw is on, {} are open", listed(ports)));
    }
    let remedy: Vec<String> = closed
        .iter()
        .map(|port| format!("`ufw allow {port}/tcp`"))
        .collect();
    Finding::new(
        CHECK,
        Status::Failed,
        format!("ufw lets nobody in to {}", listed(closed)),
        format!("open them: {}", remedy.join(", ")),
    )
}

fn listed(ports: &[u16]) -> String {
    if ports.is_empty() {
        return "no ports".to_owned();
    }
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    format!("ports {}", ports.join(", "))
}

/// Whether a rule lets anybody in to a TCP port. ufw writes each as `ACTION PROTOCOL PORTS TO PORTS FROM DIRECTION`; the first
/// that fits decides.
fn is_open(rules: &[String], port: u16) -> bool {
    for tuple in rules {
        let words: Vec<&str> = tuple.split_whitespace().collect();
        let [action, protocol, to_ports, to, from_ports, from, rest @ ..] = words.as_slice() else {
            continue;
        };
        let is_in = rest
            .iter()
            .any(|word| *word == "in" || word.starts_with("in_"));
        let is_any = |address: &str| address == "0.0.0.0/0" || address == "::/0";
        if is_in
            && matches!(*protocol, "tcp" | "any")
            && is_any(to)
            && is_any(from)
            && *from_ports == "any"
            && covers(to_ports, port)
        {
            return action.starts_with("allow") || action.starts_with("limit");
        }
    }
    false
}

/// Whether `any`, `80`, `80,443` or `8000:8100` has a port in it.
fn covers(ports: &str, port: u16) -> bool {
    ports == "any"
        || ports.split(',').any(|part| match part.split_once(':') {
            Some((first, last)) => {
                let (first, last) = (first.parse::<u16>(), last.parse::<u16>());
                first.is_ok_and(|first| first <= port) && last.is_ok_and(|last| port <= last)
            }
            None => part.parse() == Ok(port),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "*filter\n### RULES ###\n\n\
        ### tuple ### limit tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n-A ufw-user-input -p tcp --dport 22 -j ufw-user-limit\n\
        ### tuple ### deny tcp 443 0.0.0.0/0 any 0.0.0.0/0 in\n\
        ### tuple ### allow tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 in\n\
        ### tuple ### allow any 8000:8100 0.0.0.0/0 any 0.0.0.0/0 Apps - in\n\
        ### tuple ### allow tcp 2222 0.0.0.0/0 any 192.0.2.0/24 in\n\
        ### tuple ### allow tcp 25 0.0.0.0/0 any 0.0.0.0/0 out\n";

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("user.rules"), RULES).unwrap();
        folder
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = Rules::read_in(folder().path()).unwrap();
        for (port, expected) in [
            (22, true),
            (80, true),
            (443, false),
            (8050, true),
            (8101, false),
            (2222, false),
            (25, false),
        ] {
            assert_eq!(is_open(&rules.four, port), expected, "{port}");
        }
    }

    #[test]
    fn closed_ports_are_told_with_the_command_that_opens_them() {
        let folder = folder();
        let listeners: Vec<SocketAddr> = ["0.0.0.0:80", "0.0.0.0:443", "127.0.0.1:9100"]
            .map(|it| it.parse().unwrap())
            .into();
        assert!(!is_on(folder.path()));
        assert_eq!(found(false, None, &listeners).status, Status::Ok);
        std::fs::write(folder.path().join("ufw.conf"), "# comment\nENABLED=yes\n").unwrap();
        assert!(is_on(folder.path()));
        let unread = found(true, None, &listeners);
        assert!(unread.found.contains("sudo mini doctor"), "{unread:?}");
        let finding = found(true, Rules::read_in(folder.path()), &listeners);
        assert_eq!(finding.status, Status::Failed);
        assert_eq!(finding.found, "ufw lets nobody in to ports 443");
        assert_eq!(finding.remedy, "open them: `ufw allow 443/tcp`");
    }
}
