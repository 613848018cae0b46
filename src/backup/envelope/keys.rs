//! Keys made of passphrases and of each other.

use aws_lc_rs::aead::{self, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use zeroize::Zeroizing;

use crate::backup::BackupError;
use crate::model::Secret;

const SCRYPT_LABEL: &[u8] = b"age-encryption.org/v1/scrypt";
/// scrypt's N as a power of two: 128 MiB and some tenths of a second for each passphrase that is tried, what OWASP's
/// password storage cheat sheet asks for. Tests make archives by the dozen and only need the same road.
pub(super) const WORK_FACTOR: u8 = if cfg!(test) { 10 } else { 17 };
/// The most that is tried for an archive that others have made: 1 GiB of memory.
pub(super) const WORK_FACTOR_LIMIT: u8 = 20;
pub(super) const SALT_BYTES: usize = 16;
pub(super) const FILE_KEY_BYTES: usize = 16;

pub(super) fn wrapping_key(
    passphrase: &Secret,
    salt: &[u8; SALT_BYTES],
    work_factor: u8,
) -> Result<Zeroizing<[u8; 32]>, BackupError> {
    let mut salted = SCRYPT_LABEL.to_vec();
    salted.extend_from_slice(salt);
    let mut key = Zeroizing::new([0; 32]);
    let params = scrypt::Params::new(work_factor, 8, 1).map_err(|_| BackupError::Damaged)?;
    scrypt::scrypt(
        passphrase.reveal().as_bytes(),
        &salted,
        &params,
        key.as_mut_slice(),
    )
    .map_err(|_| BackupError::Damaged)?;
    Ok(key)
}

struct KeyBytes(usize);

impl hkdf::KeyType for KeyBytes {
    fn len(&self) -> usize {
        self.0
    }
}

pub(super) fn derived(
    file_key: &[u8; FILE_KEY_BYTES],
    salt: &[u8],
    label: &[u8],
) -> Result<Zeroizing<[u8; 32]>, BackupError> {
    let mut key = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(file_key)
        .expand(&[label], KeyBytes(key.len()))
        .and_then(|made| made.fill(key.as_mut_slice()))
        .map_err(|_| BackupError::Randomness)?;
    Ok(key)
}

pub(super) fn header_key(file_key: &[u8; FILE_KEY_BYTES]) -> Result<hmac::Key, BackupError> {
    let key = derived(file_key, &[], b"header")?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()))
}

pub(super) fn cipher(key: &[u8; 32]) -> Result<LessSafeKey, BackupError> {
    UnboundKey::new(&CHACHA20_POLY1305, key)
        .map(LessSafeKey::new)
        .map_err(|_| BackupError::Randomness)
}

pub(super) fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; aead::NONCE_LEN])
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], BackupError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| BackupError::Randomness)?;
    Ok(bytes)
}
