//! The encryption of an archive: the file format of age, version 1, with a passphrase
//! (<https://github.com/C2SP/C2SP/blob/main/age.md>). The programs `age` and `rage` open what is written here, so that an
//! archive is not lost with mini.
//!
//! A random file key is wrapped by a key that scrypt derives from the passphrase. The content goes in chunks of 64 KiB,
//! each sealed by ChaCha20-Poly1305 under its number and whether it is the last (STREAM): a chunk that is changed, moved,
//! left out or cut off does not open.

use std::io::{self, Read, Write};

use aws_lc_rs::aead::{self, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::BackupError;
use crate::model::Secret;

const VERSION: &str = "age-encryption.org/v1";
const SCRYPT_LABEL: &[u8] = b"age-encryption.org/v1/scrypt";
/// scrypt's N as a power of two: 128 MiB and some tenths of a second for each passphrase that is tried, what OWASP's
/// password storage cheat sheet asks for. Tests make archives by the dozen and only need the same road.
const WORK_FACTOR: u8 = if cfg!(test) { 10 } else { 17 };
/// The most that is tried for an archive that others have made: 1 GiB of memory.
const WORK_FACTOR_LIMIT: u8 = 20;
const SALT_BYTES: usize = 16;
const FILE_KEY_BYTES: usize = 16;
const NONCE_BYTES: usize = 16;
const CHUNK_BYTES: usize = 64 * 1024;
const TAG_BYTES: usize = 16;
/// A header with one scrypt stanza has some 150 bytes.
const HEADER_LIMIT: usize = 4096;

/// Seals what is written to it.
pub(super) struct Sealed<W> {
    chunks: Chunks,
    buffer: Vec<u8>,
    out: W,
}

impl<W: Write> Sealed<W> {
    /// Begins an archive: writes its header.
    ///
    /// # Errors
    /// `Randomness`, `Memory`, `Write`.
    pub(super) fn begin(mut out: W, passphrase: &Secret) -> Result<Self, BackupError> {
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
    pub(super) fn finish(mut self) -> io::Result<W> {
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

/// Opens what is read from it.
pub(super) struct Opened<R> {
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
    pub(super) fn begin(mut source: R, passphrase: &Secret) -> Result<Self, BackupError> {
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
        let is_first = self.chunks.next == 0;
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

/// The cipher of the content, with the number of the next chunk.
struct Chunks {
    key: LessSafeKey,
    next: u64,
}

impl Chunks {
    fn new(
        file_key: &[u8; FILE_KEY_BYTES],
        nonce: &[u8; NONCE_BYTES],
    ) -> Result<Self, BackupError> {
        Ok(Self {
            key: cipher(&*derived(file_key, nonce, b"payload")?)?,
            next: 0,
        })
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

    fn seal(&mut self, chunk: &mut Vec<u8>, is_last: bool) -> io::Result<()> {
        let nonce = self.nonce(is_last);
        self.key
            .seal_in_place_append_tag(nonce, Aad::empty(), chunk)
            .map_err(|_| io::Error::other("a chunk could not be encrypted"))
    }

    fn open(&mut self, chunk: &mut Vec<u8>, is_last: bool) -> io::Result<()> {
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

/// What stands in front of the content.
struct Header {
    salt: [u8; SALT_BYTES],
    work_factor: u8,
    wrapped: Vec<u8>,
    /// What the code in the last line is about.
    signed: String,
    mac: Vec<u8>,
}

impl Header {
    fn read(source: &mut impl Read) -> Result<Header, BackupError> {
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

/// What a failed read of the archive means; failures of our own come as `InvalidData` and `UnexpectedEof`.
pub(super) fn reading(error: io::Error) -> BackupError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => BackupError::Truncated,
        io::ErrorKind::InvalidData => BackupError::Damaged,
        _ => BackupError::Read(error),
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a chunk was changed")
}

fn wrapping_key(
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

fn derived(
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

fn header_key(file_key: &[u8; FILE_KEY_BYTES]) -> Result<hmac::Key, BackupError> {
    let key = derived(file_key, &[], b"header")?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()))
}

fn cipher(key: &[u8; 32]) -> Result<LessSafeKey, BackupError> {
    UnboundKey::new(&CHACHA20_POLY1305, key)
        .map(LessSafeKey::new)
        .map_err(|_| BackupError::Randomness)
}

fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; aead::NONCE_LEN])
}

fn random<const N: usize>() -> Result<[u8; N], BackupError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| BackupError::Randomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

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
