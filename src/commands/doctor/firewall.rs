//! What the firewall of the machine lets through, as far as it can be read: ufw's rules, as Debian and Ubuntu have it.

use std::net::SocketAddr;
use std::path::Path;

use super::{Finding, Status};

const CHECK: &str = "firewall";

/// Whether ufw is on, and then whether the ports of `listeners` are open; those that listen to this machine only need not be.
pub(super) fn ufw(folder: &Path, listeners: &[SocketAddr]) -> Finding {
    let mut ports: Vec<u16> = listeners
        .iter()
        .filter(|address| !address.ip().is_loopback())
        .map(SocketAddr::port)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    let is_on = std::fs::read_to_string(folder.join("ufw.conf"))
        .is_ok_and(|text| text.lines().any(|line| line.trim() == "ENABLED=yes"));
    if !is_on {
        return Finding::ok(
            CHECK,
            "ufw is not on; a firewall of the provider is not seen from here",
        );
    }
    let rules =
        ["user.rules", "user6.rules"].map(|name| std::fs::read_to_string(folder.join(name)));
    match rules {
        [Ok(rules), six] => {
            let six = six.unwrap_or_default();
            let is_six = listeners.iter().any(SocketAddr::is_ipv6);
            let closed = |port: &u16| {
                !is_open(&rules, *port) || (is_six && !six.is_empty() && !is_open(&six, *port))
            };
            judged(
                &ports,
                &ports.iter().copied().filter(closed).collect::<Vec<_>>(),
            )
        }
        // Only root may read them, and a server that is not root cannot know.
        [Err(_), _] => Finding::ok(
            CHECK,
            format!(
                "ufw is on; `sudo ufw status` shows whether {} are open",
                listed(&ports)
            ),
        ),
    }
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

/// Whether a rule lets anybody in to a TCP port. ufw writes each rule as a comment before what it means for netfilter:
/// `### tuple ### ACTION PROTOCOL PORTS TO PORTS FROM DIRECTION`; the first rule that fits decides.
fn is_open(rules: &str, port: u16) -> bool {
    let tuples = rules
        .lines()
        .filter_map(|line| line.strip_prefix("### tuple ### "));
    for tuple in tuples {
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

    #[test]
    fn the_first_rule_that_fits_decides() {
        for (port, expected) in [
            (22, true),
            (80, true),
            (443, false),
            (8050, true),
            (8101, false),
            (2222, false),
            (25, false),
        ] {
            assert_eq!(is_open(RULES, port), expected, "{port}");
        }
    }

    #[test]
    fn closed_ports_are_told_with_the_command_that_opens_them() {
        let folder = tempfile::tempdir().unwrap();
        let listeners: Vec<SocketAddr> = ["0.0.0.0:80", "0.0.0.0:443", "127.0.0.1:9100"]
            .map(|it| it.parse().unwrap())
            .into();
        let find = || ufw(folder.path(), &listeners);
        assert_eq!(find().status, Status::Ok);
        std::fs::write(folder.path().join("ufw.conf"), "# comment\nENABLED=yes\n").unwrap();
        assert!(
            find().found.contains("sudo ufw status"),
            "{find:?}",
            find = find()
        );
        std::fs::write(folder.path().join("user.rules"), RULES).unwrap();
        let finding = find();
        assert_eq!(finding.status, Status::Failed);
        assert_eq!(finding.found, "ufw lets nobody in to ports 443");
        assert_eq!(finding.remedy, "open them: `ufw allow 443/tcp`");
    }
}
