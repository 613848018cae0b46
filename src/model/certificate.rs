//! A TLS certificate of an app, as it is kept.

use serde::{Deserialize, Serialize};

use super::deploy::text_enum;
use super::{AppId, Secret, Timestamp};

/// The row id of a certificate. What it stands for never changes: a new certificate gets a new id, and none is given
/// twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CertificateId(pub i64);

text_enum! {
    /// Where a certificate came from. The order is that of preference: of two that cover a name, the one whose origin
    /// comes first is served.
    CertificateOrigin, "certificate origin" {
        /// Given by the app's owner with `certs:add`.
        Custom = "custom",
        /// Ordered from a certificate authority by mini.
        Acme = "acme",
        /// Made by mini with `certs:generate`; browsers warn of it.
        SelfSigned = "self-signed",
    }
}

/// A certificate of an app, without its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppCertificate {
    /// Row id.
    pub id: CertificateId,
    /// Whose it is.
    pub app: AppId,
    /// Where it came from.
    pub origin: CertificateOrigin,
    /// The certificate and those that lead to its authority, as PEM.
    pub chain: String,
    /// When it was stored.
    pub created_at: Timestamp,
}

/// A certificate that is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCertificate {
    /// Whose it is.
    pub app: AppId,
    /// Where it came from.
    pub origin: CertificateOrigin,
    /// The certificate and those that lead to its authority, as PEM.
    pub chain: String,
    /// The private key, as PEM.
    pub key: Secret,
    /// The present moment.
    pub created_at: Timestamp,
}
