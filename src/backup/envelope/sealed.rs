//! Sealing.

use std::io::{self, Write};

use aws_lc_rs::aead::Aad;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::chunks::{CHUNK_BYTES, Chunks, TAG_BYTES};
use super::header::VERSION;
use super::keys::{
    FILE_KEY_BYTES, SALT_BYTES, WORK_FACTOR, cipher, header_key, random, wrapping_key, zero_nonce,
};
use crate::backup::BackupError;
use crate::model::Secret;

pub(super) const NONCE_BYTES: usize = 16;

/// Seals what is written to it.
pub(in crate::backup) struct Sealed<W> {
    chunks: Chunks,
    buffer: Vec<u8>,
    out: W,
}

impl<W: Write> Sealed<W> {
    /// Begins an archive: writes its header.
    ///
    /// # Errors
    /// `Randomness`, `Memory`, `Write`.
    pub(in crate::backup) fn begin(mut out: W, passphrase: &Secret) -> Result<Self, BackupError> {
        let file_key = Zeroizing::new(random::<FILE_KEY_BYTES>()?);
        let salt = random::<SALT_BYTES>()?;
        let wrapping = wrapping_key(passphrase, &salt, WORK_FACTOR)?;
        let mut wrapped = file_key.to_vec();
        cipher(&wrapping)?
            .seal_in_place_append_tag(zero_nonce(), Aad::empty(), &mut wrapped)
            .map_err(|_| BackupError::Randomness)?;
        let mut header = format!(
            "{VERSION}\n-> scrypt {} {WORK_FACTOR}\n{}\n---",
            STANDARD_NO_PAD.encode(salt),
            STANDARD_NO_PAD.encode(&wrapped),
        );
        let mac = hmac::sign(&header_key(&file_key)?, header.as_bytes());
        header.push(' ');
        header.push_str(&STANDARD_NO_PAD.encode(mac.as_ref()));
        header.push('\n');
        let nonce = random::<NONCE_BYTES>()?;
        out.write_all(header.as_bytes())
            .and_then(|()| out.write_all(&nonce))
            .map_err(BackupError::Write)?;
        Ok(Self {
            chunks: Chunks::new(&file_key, &nonce)?,
            buffer: Vec::with_capacity(CHUNK_BYTES + TAG_BYTES),
            out,
        })
    }

    /// Seals what is left and returns what it was written to. An archive without this is a truncated one.
    pub(in crate::backup) fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        self.chunks.seal(&mut self.buffer, is_last)?;
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

impl<W: Write> Write for Sealed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits: only now it is known not to be the last.
        if self.buffer.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.seal(false)?;
        }
        let room = CHUNK_BYTES - self.buffer.len();
        let (taken, _) = bytes.split_at(room.min(bytes.len()));
        self.buffer.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
