//! An archive on its way to a store: in parts, so that its length need not be known and a lost connection costs one part. It
//! is there when all of it is, and not before.

use std::io::{self, Write};

use bytes::{Bytes, BytesMut};
use hyper::{Method, header};
use rusty_s3::actions::{
    AbortMultipartUpload, CompleteMultipartUpload, CreateMultipartUpload, HeadObject, UploadPart,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Bucket;
use super::answer::Failure;
use crate::backup::BackupError;

/// The length of a part: S3 takes 10,000 of them, each of 5 MiB at least, the last of any length
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>). One is held in memory.
pub(super) const PART_BYTES: usize = if cfg!(test) { 5 << 20 } else { 16 << 20 };
const MOST_PARTS: u16 = 10_000;
/// Pieces that wait between the two sides, 64 KiB each.
const WAITING: usize = 16;

/// What passes from the one who writes to the one who sends.
enum Piece {
    Bytes(Bytes),
    /// All was written. Without this the archive is not whole.
    End,
}

/// The writing end of an archive on its way. Write to it off the async threads. Dropped without [`Upload::end`], what was
/// sent is removed again.
pub struct Upload(mpsc::Sender<Piece>);

/// The sending of it.
pub(in crate::backup) struct Sending(JoinHandle<Result<u64, BackupError>>);

impl Upload {
    /// Says that all was written. Blocks.
    pub(in crate::backup) fn end(self) {
        // A sender that has failed says so itself.
        let _ = self.0.blocking_send(Piece::End);
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Piece::Bytes(Bytes::copy_from_slice(bytes)))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sending {
    /// Waits until the archive is there; its length in bytes.
    ///
    /// # Errors
    /// `Bucket`; `Canceled` where the writer gave up. Nothing of it is there then.
    pub(in crate::backup) async fn finish(self) -> Result<u64, BackupError> {
        self.0.await.unwrap_or(Err(BackupError::Canceled))
    }
}

impl Bucket {
    /// Begins an archive of this name.
    ///
    /// # Errors
    /// `Bucket`, where the store does not take it.
    pub(in crate::backup) async fn upload(
        &self,
        name: &str,
    ) -> Result<(Upload, Sending), BackupError> {
        let object = self.place.object(name);
        let id = self.begin_upload(&object).await?;
        let (sender, pieces) = mpsc::channel(WAITING);
        let bucket = self.clone();
        let sending = tokio::spawn(async move {
            let sent = bucket.send_parts(&object, &id, pieces).await;
            if sent.is_err()
                && let Err(error) = bucket.abort(&object, &id).await
            {
                tracing::warn!(%error, "what was sent of a backup could not be removed; the next one tries again");
            }
            sent
        });
        Ok((Upload(sender), Sending(sending)))
    }

    /// Begins an archive and gives it up at once.
    pub(super) async fn probe_upload(&self, name: &str) -> Result<(), BackupError> {
        let object = self.place.object(name);
        let id = self.begin_upload(&object).await?;
        self.abort(&object, &id).await
    }

    /// Sent twice, it leaves one that nobody finishes; the next backup clears that away.
    async fn begin_upload(&self, object: &str) -> Result<String, BackupError> {
        let action = CreateMultipartUpload::new(&self.bucket, Some(&self.credentials), object);
        let sent = self.client.send(Method::POST, &action, Bytes::new()).await;
        let answer = sent.map_err(|why| self.failed(why))?;
        let text = String::from_utf8_lossy(answer.body());
        let upload = CreateMultipartUpload::parse_response(&text).map_err(|error| {
            self.failed(Failure::Refused(format!(
                "an answer that does not read: {error}"
            )))
        })?;
        Ok(upload.upload_id().to_owned())
    }

    pub(super) async fn abort(&self, object: &str, id: &str) -> Result<(), BackupError> {
        let action = AbortMultipartUpload::new(&self.bucket, Some(&self.credentials), object, id);
        let sent = self
            .client
            .send(Method::DELETE, &action, Bytes::new())
            .await;
        match sent {
            Ok(_) | Err(Failure::NoUpload) => Ok(()),
            Err(why) => Err(self.failed(why)),
        }
    }

    async fn send_parts(
        &self,
        object: &str,
        id: &str,
        pieces: mpsc::Receiver<Piece>,
    ) -> Result<u64, BackupError> {
        let mut parts = Parts {
            pieces,
            ahead: Bytes::new(),
        };
        let mut tags: Vec<String> = Vec::new();
        let mut bytes = 0;
        loop {
            let Part { content, is_last } = parts.next().await?;
            let number = u16::try_from(tags.len() + 1).ok();
            let number = number.filter(|number| *number <= MOST_PARTS);
            let most = u64::try_from(PART_BYTES).unwrap_or_default() * u64::from(MOST_PARTS);
            let number = number.ok_or_else(|| self.failed(Failure::TooLong(most)))?;
            bytes += u64::try_from(content.len()).unwrap_or_default();
            let credentials = Some(&self.credentials);
            let action = UploadPart::new(&self.bucket, credentials, object, number, id);
            let sent = self.client.send(Method::PUT, &action, content).await;
            let answer = sent.map_err(|why| self.failed(why))?;
            let tag = answer.headers().get(header::ETAG);
            let tag = tag.and_then(|tag| tag.to_str().ok()).map(str::to_owned);
            tags.push(tag.ok_or_else(|| {
                let why = "no tag for a part that it has taken".to_owned();
                self.failed(Failure::Refused(why))
            })?);
            if is_last {
                break;
            }
        }
        let tags = tags.iter().map(String::as_str);
        let action =
            CompleteMultipartUpload::new(&self.bucket, Some(&self.credentials), object, id, tags);
        let body = Bytes::from(action.clone().body());
        match self.client.send(Method::POST, &action, body).await {
            Ok(_) => Ok(bytes),
            // Its answer to an earlier try was lost: then the archive is there, and has this length.
            Err(Failure::NoUpload) if self.length(object).await == Some(bytes) => Ok(bytes),
            Err(why) => Err(self.failed(why)),
        }
    }

    async fn length(&self, object: &str) -> Option<u64> {
        let action = HeadObject::new(&self.bucket, Some(&self.credentials), object);
        let answer = self.client.send(Method::HEAD, &action, Bytes::new()).await;
        let answer = answer.ok()?;
        let length = answer.headers().get(header::CONTENT_LENGTH)?;
        length.to_str().ok()?.parse().ok()
    }
}

/// What is sent at once.
struct Part {
    content: Bytes,
    is_last: bool,
}

/// Makes parts of pieces.
struct Parts {
    pieces: mpsc::Receiver<Piece>,
    /// What came behind the last part: only that tells that it was not the end.
    ahead: Bytes,
}

impl Parts {
    /// The next part: of the usual length, or what is left at the end; empty only where the whole archive is.
    ///
    /// # Errors
    /// `Canceled` where the writer is gone and has not said that all was written.
    async fn next(&mut self) -> Result<Part, BackupError> {
        let mut content = BytesMut::with_capacity(PART_BYTES);
        content.extend_from_slice(&std::mem::take(&mut self.ahead));
        loop {
            match self.pieces.recv().await {
                Some(Piece::Bytes(piece)) if content.len() + piece.len() > PART_BYTES => {
                    let mut piece = piece;
                    self.ahead = piece.split_off(PART_BYTES - content.len());
                    content.extend_from_slice(&piece);
                    break;
                }
                Some(Piece::Bytes(piece)) => content.extend_from_slice(&piece),
                Some(Piece::End) => {
                    return Ok(Part {
                        content: content.freeze(),
                        is_last: true,
                    });
                }
                None => return Err(BackupError::Canceled),
            }
        }
        Ok(Part {
            content: content.freeze(),
            is_last: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lengths(pieces: usize, is_ended: bool) -> Vec<Option<(usize, bool)>> {
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            for _ in 0..pieces {
                let piece = Bytes::from(vec![1; 1 << 20]);
                let _ = sender.send(Piece::Bytes(piece)).await;
            }
            if is_ended {
                let _ = sender.send(Piece::End).await;
            }
        });
        let mut lengths = Vec::new();
        let mut parts = Parts {
            pieces: receiver,
            ahead: Bytes::new(),
        };
        loop {
            let part = parts.next().await.ok();
            let facts = part.map(|part| (part.content.len(), part.is_last));
            lengths.push(facts);
            if facts.is_none_or(|(_, is_last)| is_last) {
                return lengths;
            }
        }
    }

    #[tokio::test]
    async fn pieces_become_parts_of_one_length_but_the_last() {
        let mib = PART_BYTES >> 20;
        assert_eq!(lengths(0, true).await, [Some((0, true))]);
        assert_eq!(
            lengths(mib + 1, true).await,
            [Some((PART_BYTES, false)), Some((1 << 20, true))]
        );
        assert_eq!(
            lengths(2 * mib, true).await,
            [Some((PART_BYTES, false)), Some((PART_BYTES, true))]
        );
    }

    #[tokio::test]
    async fn what_was_not_said_to_be_whole_has_no_last_part() {
        let mib = PART_BYTES >> 20;
        assert_eq!(
            lengths(mib + 1, false).await,
            [Some((PART_BYTES, false)), None]
        );
        assert_eq!(lengths(0, false).await, [None]);
    }
}
