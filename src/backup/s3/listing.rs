//! What is in a bucket: archives, and uploads that were never finished.

use bytes::Bytes;
use hyper::Method;
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Method as SignedMethod, signing};

use super::Bucket;
use super::answer::{Failure, between};
use super::request::SIGNED_FOR;
use crate::backup::BackupError;
use crate::backup::archives::Kept;
use crate::model::Timestamp;

/// An upload that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Begun {
    pub(super) object: String,
    pub(super) id: String,
}

impl Bucket {
    /// The files here whose names begin like this, by name. Those under a further prefix are left out.
    ///
    /// # Errors
    /// `Bucket`.
    pub(in crate::backup) async fn list(&self, beginning: &str) -> Result<Vec<Kept>, BackupError> {
        let prefix = self.place.object(beginning);
        let folder = self.place.object("");
        let mut token: Option<String> = None;
        let mut all = Vec::new();
        loop {
            let mut action = ListObjectsV2::new(&self.bucket, Some(&self.credentials));
            action.with_prefix(prefix.as_str());
            action.with_delimiter("/");
            if let Some(token) = &token {
                action.with_continuation_token(token.as_str());
            }
            let sent = self.client.send(Method::GET, &action, Bytes::new()).await;
            let answer = sent.map_err(|why| self.failed(why))?;
            let text = String::from_utf8_lossy(answer.body());
            let page = ListObjectsV2::parse_response(&text).map_err(|error| {
                self.failed(Failure::Refused(format!(
                    "a list that does not read: {error}"
                )))
            })?;
            for found in page.contents {
                if let Some(name) = found.key.strip_prefix(&folder) {
                    all.push(Kept {
                        name: name.to_owned(),
                        bytes: found.size,
                        changed_at: found.last_modified.parse::<Timestamp>().ok(),
                    });
                }
            }
            match page.next_continuation_token {
                // A store that gives the same page again would never come to an end.
                Some(next) if token.as_ref() != Some(&next) => token = Some(next),
                Some(_) | None => break,
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// Removes what was sent of archives that were never finished, as a crash leaves it, where `is_ours` knows the name.
    ///
    /// # Errors
    /// `Bucket`.
    pub(in crate::backup) async fn clear_unfinished(
        &self,
        beginning: &str,
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<(), BackupError> {
        let folder = self.place.object("");
        for begun in self.unfinished(beginning).await? {
            let name = begun.object.strip_prefix(&folder);
            if name.is_some_and(&is_ours) {
                self.abort(&begun.object, &begun.id).await?;
            }
        }
        Ok(())
    }

    /// ListMultipartUploads, which rusty-s3 does not know
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html>). One page has 1000.
    async fn unfinished(&self, beginning: &str) -> Result<Vec<Begun>, BackupError> {
        let prefix = self.place.object(beginning);
        let sign = || {
            signing::sign(
                &jiff::Timestamp::now(),
                SignedMethod::Get,
                self.bucket.base_url().clone(),
                self.credentials.key(),
                self.credentials.secret(),
                None,
                self.bucket.region(),
                SIGNED_FOR.as_secs(),
                [("prefix", prefix.as_str()), ("uploads", "")].into_iter(),
                std::iter::empty(),
            )
            .to_string()
        };
        let sent = self.client.send_signed(Method::GET, sign, Bytes::new());
        let answer = sent.await.map_err(|why| self.failed(why))?;
        Ok(begun(&String::from_utf8_lossy(answer.body())))
    }
}

/// The uploads in an answer. Keys of ours have no character that XML writes in another way.
pub(super) fn begun(text: &str) -> Vec<Begun> {
    text.split("<Upload>")
        .skip(1)
        .filter_map(|upload| {
            Some(Begun {
                object: between(upload, "Key")?,
                id: between(upload, "UploadId")?,
            })
        })
        .collect()
}
