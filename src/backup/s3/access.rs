//! Where the store is, and who we are there.

use crate::model::Secret;

/// Where the store is, and who we are there: the settings `backup-s3-*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Access {
    /// The URL of a store that is not Amazon's.
    pub endpoint: Option<String>,
    /// The region; many stores take any.
    pub region: String,
    /// The name of the key.
    pub key_id: Option<String>,
    /// The key.
    pub secret_key: Option<Secret>,
}

impl Default for S3Access {
    fn default() -> Self {
        S3Access {
            endpoint: None,
            region: "us-east-1".to_owned(),
            key_id: None,
            secret_key: None,
        }
    }
}

impl S3Access {
    /// The store; Amazon's has one for each region
    /// (<https://docs.aws.amazon.com/general/latest/gr/s3.html>).
    pub(super) fn endpoint_url(&self) -> String {
        match &self.endpoint {
            Some(url) => url.clone(),
            None => format!("https://s3.{}.amazonaws.com", self.region),
        }
    }
}
