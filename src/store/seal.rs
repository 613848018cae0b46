//! Encryption of values at rest: XChaCha20-Poly1305, a random nonce for each, bound to the place the value stands in.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::{NewFile, StoreError};

/// The first byte of a sealed value. Another cipher or layout gets another number, and both are read.
const FORMAT: u8 = 1;
const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;
const FOLDER: &str = "keys";
const FILE: &str = "keys/config.key";

/// The place a sealed value belongs to. A value that is moved to another place, or whose ciphertext is exchanged with
/// another's, does not open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The table.
    pub(super) table: &'static str,
    /// Row id of the app; 0 where there is none.
    pub(super) app: i64,
    /// What tells the value apart within table and app; without NUL.
    pub(super) key: &'a str,
}

impl Place<'_> {
    fn associated_data(&self, format: u8) -> Vec<u8> {
        format!("mini\0{}\0{}\0{}\0{format}", self.table, self.app, self.key).into_bytes()
    }
}

/// The key in use. Its memory is cleared when it is dropped, by the cipher.
pub(super) struct Seal {
    cipher: XChaCha20Poly1305,
}

impl Seal {
    /// Reads `keys/config.key`; `None` if there is no such file.
    ///
    /// # Errors
    /// `Key` if it cannot be read or is not 32 bytes.
    pub(super) fn load(data_dir: &Path) -> Result<Option<Seal>, StoreError> {
        let bytes = match fs::read(data_dir.join(FILE)) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::Key(format!("{FILE} cannot be read: {error}"))),
        };
        let key: &[u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| {
            StoreError::Key(format!(
                "{FILE} has {} bytes where a key has {KEY_BYTES}",
                bytes.len()
            ))
        })?;
        Ok(Some(Seal::new(key)))
    }

    /// Makes a random key and the file for it: folder 0700, file 0600.
    ///
    /// # Errors
    /// `ReadOnly`, `DiskFull` or `File`.
    pub(super) fn create(data_dir: &Path) -> Result<Seal, StoreError> {
        let mut key = Zeroizing::new([0_u8; KEY_BYTES]);
        fill(key.as_mut_slice())?;
        let made = DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(data_dir.join(FOLDER));
        made.and_then(|()| NewFile::put(&data_dir.join(FILE), key.as_slice()))
            .map_err(|error| StoreError::file(FILE, error))?;
        Ok(Seal::new(&key))
    }

    fn new(key: &[u8; KEY_BYTES]) -> Seal {
        let key = Zeroizing::new(*key);
        Seal {
            cipher: XChaCha20Poly1305::new(&Key::from(*key)),
        }
    }

    /// Encrypts a value for a place: 41 bytes longer than the value.
    ///
    /// # Errors
    /// `File` if the system has no randomness, `Key` if the value is beyond the cipher's limit.
    pub(super) fn close(&self, place: Place<'_>, value: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0_u8; NONCE_BYTES];
        fill(&mut nonce)?;
        let payload = Payload {
            msg: value,
            aad: &place.associated_data(FORMAT),
        };
        // Only a value of 256 GiB and more is refused (RFC 8439, section 2.8).
        let encrypted = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| StoreError::Key("the value is too large to be encrypted".to_owned()))?;
        let mut sealed = Vec::with_capacity(1 + NONCE_BYTES + encrypted.len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&encrypted);
        Ok(sealed)
    }

    /// Decrypts a value of a place; `None` if it was not sealed for this place with this key, or was changed since.
    pub(super) fn open(&self, place: Place<'_>, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (format, rest) = sealed.split_first()?;
        let (nonce, encrypted) = rest.split_first_chunk::<NONCE_BYTES>()?;
        if *format != FORMAT {
            return None;
        }
        let payload = Payload {
            msg: encrypted,
            aad: &place.associated_data(*format),
        };
        self.cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .ok()
            .map(Zeroizing::new)
    }
}

/// Fills a buffer from the system's generator.
///
/// # Errors
/// `File` if it has none to give.
pub(super) fn fill(buffer: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(buffer).map_err(|error| {
        StoreError::file(
            "the system's random generator",
            io::Error::other(error.to_string()),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const PLACE: Place<'_> = Place {
        table: "config_vars",
        app: 7,
        key: "TOKEN",
    };

    #[test]
    fn a_value_opens_only_in_its_place_and_unchanged() {
        let seal = Seal::new(&[1; KEY_BYTES]);
        let sealed = seal.close(PLACE, b"hunter2").unwrap();
        assert_eq!(sealed.len(), b"hunter2".len() + 41);
        assert_eq!(seal.open(PLACE, &sealed).unwrap().as_slice(), b"hunter2");

        let elsewhere = [
            Place { app: 8, ..PLACE },
            Place {
                key: "OTHER",
                ..PLACE
            },
            Place {
                table: "releases",
                ..PLACE
            },
        ];
        for place in elsewhere {
            assert!(seal.open(place, &sealed).is_none(), "{place:?}");
        }
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(seal.open(PLACE, &changed).is_none(), "byte {position}");
            assert!(seal.open(PLACE, &sealed[..position]).is_none());
        }
        assert!(Seal::new(&[2; KEY_BYTES]).open(PLACE, &sealed).is_none());
    }

    #[test]
    fn equal_values_are_sealed_differently() {
        let seal = Seal::new(&[1; KEY_BYTES]);
        assert_ne!(
            seal.close(PLACE, b"x").unwrap(),
            seal.close(PLACE, b"x").unwrap()
        );
    }

    #[test]
    fn the_key_file_is_for_its_owner_only_and_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Seal::load(folder.path()).unwrap().is_none());
        let sealed = Seal::create(folder.path())
            .unwrap()
            .close(PLACE, b"x")
            .unwrap();
        let mode = |name: &str| {
            let metadata = fs::metadata(folder.path().join(name)).unwrap();
            metadata.permissions().mode() & 0o777
        };
        assert_eq!((mode(FOLDER), mode(FILE)), (0o700, 0o600));
        let again = Seal::load(folder.path()).unwrap().unwrap();
        assert!(again.open(PLACE, &sealed).is_some());

        fs::write(folder.path().join(FILE), b"short").unwrap();
        assert!(matches!(Seal::load(folder.path()), Err(StoreError::Key(_))));
    }
}
