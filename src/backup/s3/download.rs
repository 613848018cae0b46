//! An archive on its way from a store. A connection that is lost is made again from where it stood, as long as the archive
//! is the same.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Method, StatusCode, header};
use rusty_s3::S3Action;
use rusty_s3::actions::GetObject;
use tokio::sync::mpsc;

use super::Bucket;
use super::answer::Failure;
use super::request::{Patience, SIGNED_FOR, chain, request};
use crate::backup::BackupError;

/// Pieces that wait for the reader.
const WAITING: usize = 16;
/// The longest explanation of a refusal that is read, bytes.
const REFUSAL_BYTES: usize = 64 << 10;

/// An archive on its way from a store. Read it off the async threads.
pub struct Download {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.rest = piece?,
                None => return Ok(0),
            }
        }
        let count = self.rest.len().min(buffer.len());
        let (to, _) = buffer.split_at_mut(count);
        self.rest.copy_to_slice(to);
        Ok(count)
    }
}

impl Bucket {
    /// Begins to read an archive.
    ///
    /// # Errors
    /// `Bucket`; what fails later comes as an error of reading.
    pub(in crate::backup) async fn download(&self, name: &str) -> Result<Download, BackupError> {
        let object = self.place.object(name);
        let mut patience = Patience::new();
        let (body, tag, length) = loop {
            match self.open_at(&object, None).await {
                Ok(opened) => break opened,
                Err(why) => {
                    let waited = patience.or_give_up(why).await;
                    waited.map_err(|why| self.failed(why))?;
                }
            }
        };
        let (sender, pieces) = mpsc::channel(WAITING);
        let coming = Coming {
            bucket: self.clone(),
            object,
            tag,
            length,
            sender,
        };
        tokio::spawn(coming.pass_on(body));
        Ok(Download {
            pieces,
            rest: Bytes::new(),
        })
    }

    /// The content from some byte on, with the tag of the archive and the length of what comes.
    async fn open_at(
        &self,
        object: &str,
        from: Option<(u64, &str)>,
    ) -> Result<(Incoming, Option<String>, Option<u64>), Failure> {
        let action = GetObject::new(&self.bucket, Some(&self.credentials), object);
        let url = action.sign(SIGNED_FOR).to_string();
        let answer = self
            .client
            .begin(request(Method::GET, &url, from, Bytes::new())?);
        let answer = answer.await?;
        let expected = match from {
            Some(_) => StatusCode::PARTIAL_CONTENT,
            None => StatusCode::OK,
        };
        let status = answer.status();
        if status != expected {
            let body = http_body_util::Limited::new(answer.into_body(), REFUSAL_BYTES);
            let body = body.collect().await.map(|body| body.to_bytes());
            let text = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
            return Err(match status.is_success() {
                true => {
                    Failure::Refused("the whole archive where its end was asked for".to_owned())
                }
                false => Failure::of(status, &text),
            });
        }
        let text = |name| {
            let value = answer.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let tag = text(header::ETAG);
        let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
        Ok((answer.into_body(), tag, length))
    }
}

/// The way from the store to the reader.
struct Coming {
    bucket: Bucket,
    object: String,
    tag: Option<String>,
    length: Option<u64>,
    sender: mpsc::Sender<io::Result<Bytes>>,
}

impl Coming {
    async fn pass_on(self, mut body: Incoming) {
        let mut read = 0;
        let mut patience = Patience::new();
        loop {
            let why = match body.frame().await {
                Some(Ok(frame)) => {
                    let piece = frame.into_data().unwrap_or_default();
                    if !piece.is_empty() {
                        read += u64::try_from(piece.len()).unwrap_or_default();
                        // Whoever comes forward may stumble again.
                        patience = Patience::new();
                        if self.sender.send(Ok(piece)).await.is_err() {
                            return;
                        }
                    }
                    continue;
                }
                None if self.length.is_none_or(|length| read >= length) => return,
                None => Failure::Unreachable("the connection ended too early".to_owned()),
                Some(Err(error)) => Failure::Unreachable(chain(&error)),
            };
            match self.again(read, &mut patience, why).await {
                Ok(next) => body = next,
                Err(why) => {
                    let _ = self.sender.send(Err(io::Error::other(why))).await;
                    return;
                }
            }
        }
    }

    /// The rest of the archive after a failure.
    async fn again(
        &self,
        read: u64,
        patience: &mut Patience,
        mut why: Failure,
    ) -> Result<Incoming, Failure> {
        loop {
            patience.or_give_up(why.clone()).await?;
            let Some(tag) = &self.tag else {
                return Err(why);
            };
            match self.bucket.open_at(&self.object, Some((read, tag))).await {
                Ok((body, _, _)) => return Ok(body),
                Err(next) => why = next,
            }
        }
    }
}
