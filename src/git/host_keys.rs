//! The keys that a host shows over ssh, asked for with `ssh-keyscan`, and the file in which ssh looks for them.

use std::fmt::Write;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::{GitError, child};
use crate::model::{GitHost, HostKey};

/// Seconds that a host has to answer.
const ANSWER_LIMIT: &str = "10";
/// Kinds of keys that are asked for and kept.
const KINDS: [&str; 6] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
];
/// More than any host has.
const LIMIT: usize = 16;

/// The keys that `host` shows now; whoever is on the way could show others. If dropped, nobody asks any more.
///
/// # Errors
/// `Unusable` where nobody answers, `Missing` without `ssh-keyscan`.
pub async fn scan_host_keys(host: &GitHost) -> Result<Vec<HostKey>, GitError> {
    let (name, port) = host.name_and_port();
    let mut command = child::program("ssh-keyscan");
    command
        .args(["-T", ANSWER_LIMIT, "-p", port.unwrap_or("22"), "--", name])
        .kill_on_drop(true);
    let output = command.output().await.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            GitError::Missing("ssh is not installed (openssh-client)".to_owned())
        }
        _ => GitError::Io(error),
    })?;
    let keys = keys(&String::from_utf8_lossy(&output.stdout));
    if keys.is_empty() {
        return Err(GitError::unusable(
            format!("nobody at {host} has shown a key within {ANSWER_LIMIT} s"),
            "check its name and port, and that the server reaches it",
        ));
    }
    Ok(keys)
}

/// What `ssh-keyscan` found: lines of a host, a kind and a key.
fn keys(text: &str) -> Vec<HostKey> {
    let mut keys: Vec<HostKey> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let (kind, key) = (words.next()?, words.next()?);
            let bytes = STANDARD.decode(key).ok()?;
            let hash = digest::digest(&digest::SHA256, &bytes);
            KINDS.contains(&kind).then(|| HostKey {
                kind: kind.to_owned(),
                key: key.to_owned(),
                fingerprint: format!("SHA256:{}", STANDARD_NO_PAD.encode(hash)),
            })
        })
        .take(LIMIT)
        .collect();
    keys.sort_by(|a, b| a.kind.cmp(&b.kind));
    keys
}

/// The lines of a file of known hosts (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").
pub(super) fn known_hosts(host: &GitHost, keys: &[HostKey]) -> String {
    let name = match host.name_and_port() {
        (name, Some(port)) => format!("[{name}]:{port}"),
        (name, None) => name.to_owned(),
    };
    let mut text = String::new();
    for key in keys {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{name} {} {}", key.kind, key.key);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_shows_is_kept_with_its_fingerprint() {
        let said = "# git.test:22 SSH-2.0-x\n\
            [git.test]:2222 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n\
            [git.test]:2222 x-unknown AAAA\n[git.test]:2222 ssh-rsa ###\nbroken\n";
        let keys = keys(said);
        let [key] = keys.as_slice() else {
            panic!("{keys:?}")
        };
        // What GitHub publishes of this key of theirs.
        assert_eq!(
            key.fingerprint,
            "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
        );
        let line = format!("ssh-ed25519 {}\n", key.key);
        let known = |host: &str| known_hosts(&host.parse().unwrap(), &keys);
        assert_eq!(known("git.test"), format!("git.test {line}"));
        assert_eq!(known("git.test:2222"), format!("[git.test]:2222 {line}"));
    }
}
