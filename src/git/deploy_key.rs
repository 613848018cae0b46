//! The key with which the server fetches over ssh, and the agent that signs with it: ssh asks over a socket (draft-ietf-sshm-ssh-agent),
//! so that the key is in no file and in no other process.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::task::AbortOnDropHandle;
use zeroize::Zeroizing;

use super::GitError;
use crate::model::Secret;

const KIND: &str = "ssh-ed25519";
const COMMENT: &str = "mini-deploy-key";
const SEED_BYTES: usize = 32;
/// Numbers of messages (section 5.1 of the draft).
const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
/// The longest message that is read, bytes: what is signed has some hundreds (RFC 4252, section 7).
const LONGEST: u32 = 64 << 10;

/// An Ed25519 key.
pub struct DeployKey {
    seed: Zeroizing<[u8; SEED_BYTES]>,
    pair: Ed25519KeyPair,
}

impl DeployKey {
    /// A new one.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate() -> Result<Self, GitError> {
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        getrandom::fill(seed.as_mut_slice())
            .map_err(|error| GitError::Failed(error.to_string()))?;
        Self::of(seed)
    }

    /// The one that [`DeployKey::to_secret`] gave.
    ///
    /// # Errors
    /// `Failed` if it is none.
    pub fn from_secret(secret: &Secret) -> Result<Self, GitError> {
        let damaged = || GitError::Failed("the deploy key is damaged".to_owned());
        let bytes = STANDARD.decode(secret.reveal()).map_err(|_| damaged())?;
        let bytes = Zeroizing::new(bytes);
        let seed = bytes.as_slice().try_into().map_err(|_| damaged())?;
        Self::of(Zeroizing::new(seed))
    }

    fn of(seed: Zeroizing<[u8; SEED_BYTES]>) -> Result<Self, GitError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice())
            .map_err(|error| GitError::Failed(error.to_string()))?;
        Ok(Self { seed, pair })
    }

    /// What the store keeps of it.
    pub fn to_secret(&self) -> Secret {
        Secret::new(STANDARD.encode(self.seed.as_slice()))
    }

    /// The public key as hosts take it: one line without its end.
    pub fn public_line(&self) -> String {
        format!("{KIND} {} {COMMENT}", STANDARD.encode(self.public()))
    }

    /// The public key as ssh sends it (RFC 8709, section 4).
    fn public(&self) -> Vec<u8> {
        let public = self.pair.public_key().as_ref();
        [string(KIND.as_bytes()), string(public)].concat()
    }

    /// The answer to a message to an agent.
    fn answer(&self, message: &[u8]) -> Vec<u8> {
        match message.split_first() {
            Some((&REQUEST_IDENTITIES, [])) => [
                vec![IDENTITIES, 0, 0, 0, 1],
                string(&self.public()),
                string(COMMENT.as_bytes()),
            ]
            .concat(),
            Some((&SIGN_REQUEST, rest)) => self.signed(rest).unwrap_or_else(|| vec![FAILURE]),
            _ => vec![FAILURE],
        }
    }

    /// The signature (RFC 8709, section 6) that is asked for, if it is ours to give.
    fn signed(&self, request: &[u8]) -> Option<Vec<u8>> {
        let (key, rest) = taken(request)?;
        let (signed, _flags) = taken(rest)?;
        if key != self.public() {
            return None;
        }
        let signature = self.pair.sign(signed);
        let signature = [string(KIND.as_bytes()), string(signature.as_ref())].concat();
        Some([vec![SIGN_RESPONSE], string(&signature)].concat())
    }
}

/// Answers ssh, until it is dropped.
pub(super) struct Agent {
    _task: AbortOnDropHandle<()>,
}

impl Agent {
    /// Listens at `name` in `folder`.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub(super) fn listen(folder: &Path, name: &str, key: DeployKey) -> io::Result<Self> {
        // The path of a socket may have 107 bytes (unix(7)), and that of a folder here has more than it seems.
        let open = File::open(folder)?;
        let path = format!("/proc/self/fd/{}/{name}", open.as_raw_fd());
        let listener = UnixListener::bind(path)?;
        let key = Arc::new(key);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // ssh asks over one connection, and has done so before it opens another.
                if let Err(error) = serve(stream, &key).await {
                    tracing::debug!(%error, "a connection to the agent of the deploy key ended");
                }
            }
        });
        Ok(Self {
            _task: AbortOnDropHandle::new(task),
        })
    }
}

async fn serve(mut stream: UnixStream, key: &DeployKey) -> io::Result<()> {
    loop {
        let length = match stream.read_u32().await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            length => length?,
        };
        if length > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut message = vec![0; usize::try_from(length).unwrap_or_default()];
        stream.read_exact(&mut message).await?;
        stream.write_all(&string(&key.answer(&message))).await?;
    }
}

/// Bytes behind their number (RFC 4251, section 5).
fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), bytes].concat()
}

/// The bytes at the front, and what follows.
fn taken(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_when_it_comes_back() {
        let key = DeployKey::generate().unwrap();
        let back = DeployKey::from_secret(&key.to_secret()).unwrap();
        assert_eq!(key.public_line(), back.public_line());
        assert!(
            key.public_line()
                .starts_with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI")
        );
        assert_ne!(
            key.public_line(),
            DeployKey::generate().unwrap().public_line()
        );
        for damaged in ["", "x", "AAAA"] {
            assert!(DeployKey::from_secret(&Secret::new(damaged)).is_err());
        }
    }

    #[test]
    fn only_whole_questions_about_this_key_are_answered() {
        let key = DeployKey::generate().unwrap();
        let other = DeployKey::generate().unwrap();
        let request =
            |public: &[u8]| [vec![SIGN_REQUEST], string(public), string(b"x"), vec![0; 4]].concat();
        assert_eq!(key.answer(&request(&key.public()))[0], SIGN_RESPONSE);
        assert_eq!(key.answer(&[REQUEST_IDENTITIES])[0], IDENTITIES);
        for message in [
            vec![],
            vec![SIGN_REQUEST],
            vec![SIGN_REQUEST, 0xff, 0xff, 0xff, 0xff],
            vec![27],
            request(&other.public()),
        ] {
            assert_eq!(key.answer(&message), [FAILURE], "{message:?}");
        }
    }
}
