//! What a hook and the server say to each other: JSON behind a length of four bytes, big-endian.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::deploy::RefUpdate;
use crate::model::InvalidName;

/// The largest frame, bytes: some 200,000 refs in one push.
const LIMIT_BYTES: u32 = 32 << 20;

/// A question of a hook. Several may follow each other on one connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ask {
    /// `MINI_PUSH`.
    pub(super) push: String,
    /// What `git push -o` gave.
    pub(super) options: Vec<String>,
    pub(super) about: About,
    pub(super) updates: Vec<Update>,
}

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum About {
    /// pre-receive: all updates at once.
    Admit,
    /// proc-receive: one update.
    Prepare,
    /// post-receive: all updates at once.
    Commit,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Update {
    pub(super) reference: String,
    pub(super) old: String,
    pub(super) new: String,
}

/// A part of the server's answer; `End` is the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    /// Text to show at once, whole lines.
    Text(String),
    /// The branch has been moved by another push of the same commit; a good verdict follows.
    Moved,
    /// The verdict; a refusal with its reason in one line.
    End(Result<(), String>),
}

impl TryFrom<Update> for RefUpdate {
    type Error = InvalidName;

    fn try_from(update: Update) -> Result<Self, InvalidName> {
        Ok(Self {
            old: update.old.parse()?,
            new: update.new.parse()?,
            reference: update.reference,
        })
    }
}

pub(super) fn write(writer: &mut impl Write, frame: &impl Serialize) -> io::Result<()> {
    writer.write_all(&encode(frame)?)
}

/// The next frame; `UnexpectedEof` when the other side is gone.
pub(super) fn read<T: DeserializeOwned>(reader: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    reader.read_exact(&mut length)?;
    let mut bytes = vec![0; checked(length)?];
    reader.read_exact(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

pub(super) async fn send(
    writer: &mut (impl AsyncWrite + Unpin),
    frame: &impl Serialize,
) -> io::Result<()> {
    writer.write_all(&encode(frame)?).await
}

/// The next frame; `None` when the other side has ended between frames.
pub(super) async fn receive<T: DeserializeOwned>(
    reader: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match reader.read_exact(&mut length).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    };
    let mut bytes = vec![0; checked(length)?];
    reader.read_exact(&mut bytes).await?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}

fn encode(frame: &impl Serialize) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(frame)?;
    let length = u32::try_from(json.len())
        .ok()
        .filter(|length| *length <= LIMIT_BYTES)
        .ok_or_else(|| io::Error::other("too many refs in one push"))?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(&json);
    Ok(bytes)
}

fn checked(length: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_be_bytes(length);
    if length > LIMIT_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    usize::try_from(length).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_reads_as_it_was_written_on_either_side() {
        let frame = Answer::End(Err("no".to_owned()));
        let mut bytes = Vec::new();
        write(&mut bytes, &frame).unwrap();
        assert_eq!(read::<Answer>(&mut bytes.as_slice()).unwrap(), frame);
        let mut both = Vec::new();
        send(&mut both, &frame).await.unwrap();
        assert_eq!(both, bytes);
        let mut rest = both.as_slice();
        assert_eq!(receive(&mut rest).await.unwrap(), Some(frame));
        assert_eq!(receive::<Answer>(&mut rest).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_length_beyond_reason_is_refused_before_anything_is_allocated() {
        let bytes = u32::MAX.to_be_bytes();
        assert!(read::<Answer>(&mut bytes.as_slice()).is_err());
        assert!(receive::<Answer>(&mut bytes.as_slice()).await.is_err());
    }
}
