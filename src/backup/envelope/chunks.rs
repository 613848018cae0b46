//! The chunks of the content: each sealed under its number and whether it is the last.

use std::io;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce};

use super::keys::{FILE_KEY_BYTES, cipher, derived};
use super::sealed::NONCE_BYTES;
use crate::backup::BackupError;

pub(super) const CHUNK_BYTES: usize = 64 * 1024;
pub(super) const TAG_BYTES: usize = 16;

/// The cipher of the content, with the number of the next chunk.
pub(super) struct Chunks {
    key: LessSafeKey,
    next: u64,
}

impl Chunks {
    pub(super) fn new(
        file_key: &[u8; FILE_KEY_BYTES],
        nonce: &[u8; NONCE_BYTES],
    ) -> Result<Self, BackupError> {
        Ok(Self {
            key: cipher(&*derived(file_key, nonce, b"payload")?)?,
            next: 0,
        })
    }

    /// Whether none was sealed or opened yet.
    pub(super) fn is_at_start(&self) -> bool {
        self.next == 0
    }

    /// Eleven bytes of counter, one that says whether it is the last.
    fn nonce(&mut self, is_last: bool) -> Nonce {
        let mut nonce = [0; aead::NONCE_LEN];
        if let Some(counter) = nonce.get_mut(3..11) {
            counter.copy_from_slice(&self.next.to_be_bytes());
        }
        if let Some(last) = nonce.last_mut() {
            *last = u8::from(is_last);
        }
        self.next += 1;
        Nonce::assume_unique_for_key(nonce)
    }

    pub(super) fn seal(&mut self, chunk: &mut Vec<u8>, is_last: bool) -> io::Result<()> {
        let nonce = self.nonce(is_last);
        self.key
            .seal_in_place_append_tag(nonce, Aad::empty(), chunk)
            .map_err(|_| io::Error::other("a chunk could not be encrypted"))
    }

    pub(super) fn open(&mut self, chunk: &mut Vec<u8>, is_last: bool) -> io::Result<()> {
        let nonce = self.nonce(is_last);
        let length = self
            .key
            .open_in_place(nonce, Aad::empty(), chunk)
            .map_err(|_| match is_last {
                // Whether it was cut off or changed in its last chunk cannot be told.
                true => io::ErrorKind::UnexpectedEof.into(),
                false => damaged(),
            })?
            .len();
        chunk.truncate(length);
        Ok(())
    }
}

pub(super) fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a chunk was changed")
}
