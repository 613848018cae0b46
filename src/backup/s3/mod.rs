//! A bucket of an S3-compatible store. Requests are signed by rusty-s3 and sent here.
//!
//! | what | file |
//! | --- | --- |
//! | where the store is, and who we are there | `access` |
//! | one request and its answer, again where that is harmless | `request` |
//! | what an answer means | `answer` |
//! | an archive on its way there, in parts | `upload` |
//! | an archive on its way back | `download` |
//! | what is there | `listing` |

mod access;
mod answer;
mod download;
mod listing;
mod request;
#[cfg(test)]
mod tests;
mod upload;

use bytes::Bytes;
use hyper::Method;
use rusty_s3::actions::DeleteObject;
use rusty_s3::{Bucket as Signed, Credentials, UrlStyle};

pub use access::S3Access;
pub use answer::Failure;
pub use download::Download;
pub(super) use upload::Sending;
pub use upload::Upload;

use self::request::Client;
use super::BackupError;
use crate::model::BucketPlace;

/// A part of a bucket, and who may use it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Bucket {
    client: Client,
    bucket: Signed,
    credentials: Credentials,
    place: BucketPlace,
}

impl Bucket {
    /// A bucket. Nothing is sent yet.
    ///
    /// # Errors
    /// `Bucket` where there are no keys, or the system has no root certificates.
    pub(super) fn open(place: &BucketPlace, access: &S3Access) -> Result<Bucket, BackupError> {
        let failed = |why| BackupError::Bucket {
            place: place.to_string(),
            why,
        };
        let (Some(key_id), Some(secret_key)) = (&access.key_id, &access.secret_key) else {
            return Err(failed(Failure::NoKeys));
        };
        let endpoint = access.endpoint_url();
        // A certificate of Amazon's is good for one label in front of the region.
        let style = match access.endpoint.is_none() && !place.bucket.contains('.') {
            true => UrlStyle::VirtualHost,
            false => UrlStyle::Path,
        };
        let unreachable = |why: String| failed(Failure::Unreachable(why));
        let endpoint = endpoint
            .parse()
            .map_err(|_| unreachable(format!("{endpoint} is no URL")))?;
        let (name, region) = (place.bucket.clone(), access.region.clone());
        let bucket = Signed::new(endpoint, style, name, region)
            .map_err(|error| unreachable(error.to_string()))?;
        Ok(Bucket {
            client: Client::new().map_err(failed)?,
            bucket,
            credentials: Credentials::new(key_id.clone(), secret_key.reveal()),
            place: place.clone(),
        })
    }

    /// Removes an archive; fine where there is none.
    ///
    /// # Errors
    /// `Bucket`.
    pub(super) async fn remove(&self, name: &str) -> Result<(), BackupError> {
        let object = self.place.object(name);
        let action = DeleteObject::new(&self.bucket, Some(&self.credentials), &object);
        let sent = self.client.send(Method::DELETE, &action, Bytes::new());
        sent.await.map(drop).map_err(|why| self.failed(why))
    }

    /// Whether archives can be put here, and found again. Leaves nothing.
    ///
    /// # Errors
    /// `Bucket`.
    pub(super) async fn probe(&self) -> Result<(), BackupError> {
        self.list("mini-").await?;
        self.probe_upload("mini-probe.age").await
    }

    fn failed(&self, why: Failure) -> BackupError {
        BackupError::Bucket {
            place: self.place.to_string(),
            why,
        }
    }
}
