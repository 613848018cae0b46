//! Opening.

use std::io::{self, Read};

use aws_lc_rs::aead::Aad;
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::chunks::{CHUNK_BYTES, Chunks, TAG_BYTES, damaged};
use super::header::Header;
use super::keys::{FILE_KEY_BYTES, cipher, header_key, wrapping_key, zero_nonce};
use super::reading;
use super::sealed::NONCE_BYTES;
use crate::backup::BackupError;
use crate::model::Secret;

/// Opens what is read from it.
pub(in crate::backup) struct Opened<R> {
    chunks: Chunks,
    /// The chunk in hand, opened, and how much of it was read.
    chunk: Vec<u8>,
    read: usize,
    /// Sealed bytes that follow; one more than a chunk has tells whether that is the last.
    ahead: Vec<u8>,
    is_last: bool,
    source: R,
}

impl<R: Read> Opened<R> {
    /// Reads the header of an archive and tries the passphrase.
    ///
    /// # Errors
    /// `NotABackup`, `WrongPassphrase`, `Truncated`, `Damaged`, `Hostile` where the header asks for senseless work, `Read`.
    pub(in crate::backup) fn begin(
        mut source: R,
        passphrase: &Secret,
    ) -> Result<Self, BackupError> {
        let header = Header::read(&mut source)?;
        let wrapping = wrapping_key(passphrase, &header.salt, header.work_factor)?;
        let mut wrapped = header.wrapped.clone();
        let file_key = cipher(&wrapping)?
            .open_in_place(zero_nonce(), Aad::empty(), &mut wrapped)
            .map_err(|_| BackupError::WrongPassphrase)?;
        let file_key: Zeroizing<[u8; FILE_KEY_BYTES]> =
            Zeroizing::new((&*file_key).try_into().map_err(|_| BackupError::Damaged)?);
        hmac::verify(
            &header_key(&file_key)?,
            header.signed.as_bytes(),
            &header.mac,
        )
        .map_err(|_| BackupError::Damaged)?;
        let mut nonce = [0; NONCE_BYTES];
        source.read_exact(&mut nonce).map_err(reading)?;
        Ok(Self {
            chunks: Chunks::new(&file_key, &nonce)?,
            chunk: Vec::new(),
            read: 0,
            ahead: Vec::new(),
            is_last: false,
            source,
        })
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        const SEALED: usize = CHUNK_BYTES + TAG_BYTES;
        let wanted = SEALED + 1 - self.ahead.len();
        let limit = u64::try_from(wanted).unwrap_or(u64::MAX);
        self.source
            .by_ref()
            .take(limit)
            .read_to_end(&mut self.ahead)?;
        let rest = match self.ahead.len() > SEALED {
            true => self.ahead.split_off(SEALED),
            false => Vec::new(),
        };
        self.is_last = rest.is_empty();
        let is_first = self.chunks.is_at_start();
        self.chunk = std::mem::replace(&mut self.ahead, rest);
        self.read = 0;
        self.chunks.open(&mut self.chunk, self.is_last)?;
        if self.chunk.is_empty() && !is_first {
            return Err(damaged());
        }
        Ok(())
    }
}

impl<R: Read> Read for Opened<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.chunk.len() {
            if self.is_last {
                return Ok(0);
            }
            self.next_chunk()?;
        }
        let left = self.chunk.get(self.read..).unwrap_or_default();
        let taken = left.len().min(buffer.len());
        let (to, from) = (buffer.get_mut(..taken), left.get(..taken));
        if let (Some(to), Some(from)) = (to, from) {
            to.copy_from_slice(from);
        }
        self.read += taken;
        Ok(taken)
    }
}
