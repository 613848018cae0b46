//! What stands in front of the content: how the passphrase opens it.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::chunks::TAG_BYTES;
use super::keys::{FILE_KEY_BYTES, SALT_BYTES, WORK_FACTOR_LIMIT};
use super::reading;
use crate::backup::BackupError;

pub(super) const VERSION: &str = "age-encryption.org/v1";
/// A header with one scrypt stanza has some 150 bytes.
const HEADER_LIMIT: usize = 4096;

/// What stands in front of the content.
pub(super) struct Header {
    pub(super) salt: [u8; SALT_BYTES],
    pub(super) work_factor: u8,
    pub(super) wrapped: Vec<u8>,
    /// What the code in the last line is about.
    pub(super) signed: String,
    pub(super) mac: Vec<u8>,
}

impl Header {
    pub(super) fn read(source: &mut impl Read) -> Result<Header, BackupError> {
        let mut limit = HEADER_LIMIT;
        let mut line = || -> Result<String, BackupError> {
            let mut line = Vec::new();
            let mut byte = [0];
            loop {
                match source.read(&mut byte) {
                    Ok(0) => return Err(BackupError::Truncated),
                    Ok(_) => {}
                    Err(error) => return Err(reading(error)),
                }
                limit = limit.saturating_sub(1);
                match byte {
                    [b'\n'] => break,
                    _ if limit == 0 => return Err(not_ours("it does not begin as one")),
                    [other] => line.push(other),
                }
            }
            String::from_utf8(line).map_err(|_| not_ours("it does not begin as one"))
        };
        let first = line();
        match &first {
            Ok(version) if version == VERSION => {}
            Err(BackupError::Read(_)) => drop(first?),
            Ok(_) | Err(_) => return Err(not_ours("it does not begin as one")),
        }
        let stanza = line()?;
        let words: Vec<&str> = stanza.split(' ').collect();
        let ["->", "scrypt", salt, work_factor] = words.as_slice() else {
            return Err(not_ours(
                "it is encrypted with age, but not by a passphrase",
            ));
        };
        let salt: [u8; SALT_BYTES] = decoded(salt)?
            .try_into()
            .map_err(|_| BackupError::Damaged)?;
        let work_factor: u8 = work_factor.parse().map_err(|_| BackupError::Damaged)?;
        if !(1..=WORK_FACTOR_LIMIT).contains(&work_factor) {
            return Err(BackupError::Hostile(format!(
                "its passphrase would take 2^{work_factor} steps of scrypt to try, and mini never asks for more than 2^{WORK_FACTOR_LIMIT}"
            )));
        }
        let body = line()?;
        let wrapped = decoded(&body)?;
        if wrapped.len() != FILE_KEY_BYTES + TAG_BYTES {
            return Err(BackupError::Damaged);
        }
        let last = line()?;
        let mac = last.strip_prefix("--- ").ok_or(BackupError::Damaged)?;
        Ok(Header {
            salt,
            work_factor,
            wrapped,
            mac: decoded(mac)?,
            signed: format!("{VERSION}\n{stanza}\n{body}\n---"),
        })
    }
}

fn not_ours(why: &str) -> BackupError {
    BackupError::NotABackup(why.to_owned())
}

fn decoded(text: &str) -> Result<Vec<u8>, BackupError> {
    STANDARD_NO_PAD
        .decode(text)
        .map_err(|_| BackupError::Damaged)
}
