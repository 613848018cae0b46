//! The key by which clients know this server again.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;

use crate::store::NewFile;

/// Why there is no host key.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// The file cannot be read or written.
    #[error("the host key {path} cannot be read or written")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is there but is no key we can use. It is not replaced: clients know the server by it.
    #[error("{path} is not an unencrypted OpenSSH private key")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: russh::keys::ssh_key::Error,
    },
}

/// Reads `<data_dir>/keys/ssh_host_ed25519`, making it on the first start (0600, OpenSSH format).
pub(super) fn load_or_make(data_dir: &Path) -> Result<PrivateKey, HostKeyError> {
    let folder = data_dir.join("keys");
    let path = folder.join("ssh_host_ed25519");
    let io_error = |source| HostKeyError::Io {
        path: path.clone(),
        source,
    };
    let damaged = |source| HostKeyError::Damaged {
        path: path.clone(),
        source,
    };
    match fs::read(&path) {
        Ok(text) => {
            // A key restored from a backup with wide permissions.
            let mode = fs::metadata(&path).map_err(io_error)?.permissions().mode();
            if mode & 0o077 != 0 {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(io_error)?;
            }
            let key = PrivateKey::from_openssh(text).map_err(damaged)?;
            if key.is_encrypted() {
                return Err(damaged(russh::keys::ssh_key::Error::Encrypted));
            }
            Ok(key)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(|error| io_error(io::Error::other(error)))?;
            let key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
            let text = key.to_openssh(LineEnding::LF).map_err(damaged)?;
            write_new(&folder, &path, text.as_bytes()).map_err(io_error)?;
            Ok(key)
        }
        Err(error) => Err(io_error(error)),
    }
}

fn write_new(folder: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    if !folder.is_dir() {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    NewFile::put(path, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let made = load_or_make(folder.path()).unwrap();
        let path = folder.path().join("keys/ssh_host_ed25519");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = load_or_make(folder.path()).unwrap();
        assert_eq!(made.public_key(), again.public_key());
    }

    #[test]
    fn a_damaged_key_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("keys")).unwrap();
        let path = folder.path().join("keys/ssh_host_ed25519");
        fs::write(&path, "nonsense").unwrap();
        assert!(matches!(
            load_or_make(folder.path()),
            Err(HostKeyError::Damaged { .. })
        ));
        assert_eq!(fs::read(&path).unwrap(), b"nonsense");
    }
}
