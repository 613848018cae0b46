//! The encryption of an archive: the file format of age, version 1, with a passphrase
//! (<https://github.com/C2SP/C2SP/blob/main/age.md>). The programs `age` and `rage` open what is written here, so that an
//! archive is not lost with mini.
//!
//! A random file key is wrapped by a key that scrypt derives from the passphrase. The content goes in chunks of 64 KiB,
//! each sealed by ChaCha20-Poly1305 under its number and whether it is the last (STREAM): a chunk that is changed, moved,
//! left out or cut off does not open.
//!
//! | what | file |
//! | --- | --- |
//! | sealing, opening | `sealed`, `opened` |
//! | the chunks of the content | `chunks` |
//! | what stands in front of it | `header` |
//! | keys made of passphrases and of each other | `keys` |

mod chunks;
mod header;
mod keys;
mod opened;
mod sealed;

use std::io;

pub(super) use opened::Opened;
pub(super) use sealed::Sealed;

use super::BackupError;

/// What a failed read of the archive means; failures of our own come as `InvalidData` and `UnexpectedEof`.
pub(super) fn reading(error: io::Error) -> BackupError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => BackupError::Truncated,
        io::ErrorKind::InvalidData => BackupError::Damaged,
        _ => BackupError::Read(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD_NO_PAD;

    use super::chunks::{CHUNK_BYTES, TAG_BYTES};
    use super::keys::SALT_BYTES;
    use super::sealed::NONCE_BYTES;
    use super::*;
    use crate::model::Secret;

    fn passphrase() -> Secret {
        Secret::new("correct horse battery")
    }

    fn seal(content: &[u8]) -> Vec<u8> {
        let mut sealed = Sealed::begin(Vec::new(), &passphrase()).unwrap();
        sealed.write_all(content).unwrap();
        sealed.finish().unwrap()
    }

    fn open(sealed: &[u8]) -> Result<Vec<u8>, BackupError> {
        let mut content = Vec::new();
        Opened::begin(sealed, &passphrase())?
            .read_to_end(&mut content)
            .map_err(reading)?;
        Ok(content)
    }

    #[test]
    fn what_is_sealed_opens_whatever_its_length() {
        for length in [
            0,
            1,
            CHUNK_BYTES - 1,
            CHUNK_BYTES,
            CHUNK_BYTES + 1,
            3 * CHUNK_BYTES,
        ] {
            let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            assert_eq!(open(&seal(&content)).unwrap(), content, "{length}");
        }
    }

    #[test]
    fn a_wrong_passphrase_a_change_and_a_cut_are_told_apart() {
        let sealed = seal(&vec![7; 2 * CHUNK_BYTES + 10]);
        let wrong = Opened::begin(sealed.as_slice(), &Secret::new("another passphrase"));
        assert!(matches!(wrong.err(), Some(BackupError::WrongPassphrase)));
        let header = sealed.len() - (2 * CHUNK_BYTES + 10 + 3 * TAG_BYTES + NONCE_BYTES);
        for cut in [
            header - 1,
            header + 5,
            header + NONCE_BYTES,
            header + NONCE_BYTES + CHUNK_BYTES + TAG_BYTES,
            sealed.len() - 10 - TAG_BYTES,
            sealed.len() - 1,
        ] {
            let error = open(&sealed[..cut]).unwrap_err();
            assert!(matches!(error, BackupError::Truncated), "{cut}: {error:?}");
        }
        // What wraps the key has no other guard than the key itself: a change there looks like another passphrase.
        let mut changed = sealed.clone();
        changed[header - 90] ^= 1;
        assert!(open(&changed).is_err());
        for at in [header + NONCE_BYTES, header - 3] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            let error = open(&changed).unwrap_err();
            assert!(matches!(error, BackupError::Damaged), "{at}: {error:?}");
        }
        let mut longer = sealed.clone();
        longer.push(0);
        assert!(open(&longer).is_err());
    }

    #[test]
    fn what_is_no_archive_or_asks_too_much_is_refused() {
        let check = |text: &str, is_expected: fn(&BackupError) -> bool| {
            let error = open(text.as_bytes()).unwrap_err();
            assert!(is_expected(&error), "{text}: {error:?}");
        };
        check("hello\n", |e| matches!(e, BackupError::NotABackup(_)));
        check("", |e| matches!(e, BackupError::NotABackup(_)));
        check("age-encryption.org/v1\n-> X25519 abc\n", |e| {
            matches!(e, BackupError::NotABackup(_))
        });
        let salt = STANDARD_NO_PAD.encode([1; SALT_BYTES]);
        check(
            &format!("age-encryption.org/v1\n-> scrypt {salt} 40\n"),
            |e| matches!(e, BackupError::Hostile(_)),
        );
    }
}
