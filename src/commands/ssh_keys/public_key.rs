//! Public keys as people hand them in.

use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, HashAlg, PublicKey};

use crate::model::{Kind, Problem};

/// Shortest RSA key that is taken, bits (NIST SP 800-131A).
const RSA_BITS: u32 = 2048;

/// A key that may be added.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// Algorithm and base64.
    pub line: String,
    /// `SHA256:...`
    pub fingerprint: String,
    /// The comment behind the key; may be empty.
    pub comment: String,
    /// Whether options stood before the key, which were dropped.
    pub had_options: bool,
}

/// Reads one line of an `authorized_keys` or `.pub` file.
pub(super) fn read(line: &str) -> Result<Accepted, Problem> {
    if line.contains("PRIVATE KEY") {
        return Err(refused(
            "This is a private key, which nobody but its owner should ever see",
            "Give the public key, the file that ends in `.pub`",
        ));
    }
    let (key, had_options) = match PublicKey::from_openssh(line) {
        Ok(key) => (key, false),
        Err(_) => (without_options(line).ok_or_else(unreadable)?, true),
    };
    match key.key_data() {
        KeyData::Dsa(_) => {
            return Err(refused(
                "DSA keys are too weak and are not accepted",
                "Make a new key with `ssh-keygen -t ed25519`",
            ));
        }
        KeyData::Rsa(rsa) if rsa.key_size() < RSA_BITS => {
            return Err(refused(
                &format!(
                    "This RSA key has {} bits, {RSA_BITS} are the least",
                    rsa.key_size()
                ),
                "Make a new key with `ssh-keygen -t ed25519`",
            ));
        }
        _ => {}
    }
    if matches!(key.algorithm(), Algorithm::Other(_)) {
        return Err(refused(
            &format!("Keys of the kind {} are not known", key.algorithm()),
            "Use an Ed25519, ECDSA or RSA key",
        ));
    }
    let mut plain = key.clone();
    plain.set_comment("");
    let line = plain.to_openssh().map_err(|_| unreadable())?;
    Ok(Accepted {
        line: line.trim().to_owned(),
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        comment: String::from_utf8_lossy(key.comment().as_ref())
            .trim()
            .to_owned(),
        had_options,
    })
}

/// The key behind options such as `command="..."`. They may hold quoted spaces, so each later word is tried as the start.
fn without_options(line: &str) -> Option<PublicKey> {
    line.match_indices([' ', '\t'])
        .filter_map(|(at, _)| line.get(at + 1..))
        .find_map(|rest| PublicKey::from_openssh(rest.trim_start()).ok())
}

fn refused(what: &str, next: &str) -> Problem {
    Problem::new(Kind::Invalid, what, "", next)
}

fn unreadable() -> Problem {
    Problem::new(
        Kind::Invalid,
        "This is not a public key",
        "a public key is one line that begins with its kind, such as `ssh-ed25519 AAAA...`",
        "Give the content of a `.pub` file on standard input: mini ssh-keys:add NAME < ~/.ssh/id_ed25519.pub",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn a_key_is_taken_with_its_comment_and_without_its_options() {
        let plain = read(&format!("{ED25519} me@laptop")).unwrap();
        assert_eq!(plain.line, ED25519);
        assert_eq!(plain.comment, "me@laptop");
        assert!(plain.fingerprint.starts_with("SHA256:"));
        assert!(!plain.had_options);
        let with_options = read(&format!("command=\"echo a b\",no-pty {ED25519} me")).unwrap();
        assert!(with_options.had_options);
        assert_eq!(with_options.line, ED25519);
        assert_eq!(with_options.fingerprint, plain.fingerprint);
    }

    #[test]
    fn what_is_no_public_key_is_refused_with_the_reason() {
        let what = |line: &str| read(line).unwrap_err().what;
        assert!(what("-----BEGIN OPENSSH PRIVATE KEY-----").contains("private key"));
        assert_eq!(what("hello"), "This is not a public key");
        assert_eq!(what("ssh-ed25519 AAAA"), "This is not a public key");
    }
}
