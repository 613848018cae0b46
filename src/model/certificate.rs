//! A TLS certificate, as it is kept, and for whom some are ordered.

use std::collections::BTreeMap;

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

/// A certificate of an app or of the server, without its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppCertificate {
    /// Row id.
    pub id: CertificateId,
    /// Whose it is; `None` if it is the server's, which serves every app that it covers.
    pub app: Option<AppId>,
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
    /// Whose it is; `None` for the server.
    pub app: Option<AppId>,
    /// Where it came from.
    pub origin: CertificateOrigin,
    /// The certificate and those that lead to its authority, as PEM.
    pub chain: String,
    /// The private key, as PEM.
    pub key: Secret,
    /// The present moment.
    pub created_at: Timestamp,
}

/// For which apps certificates are ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Automatic {
    /// Whether they are for an app that says nothing.
    pub is_default_on: bool,
    /// What apps say.
    pub apps: BTreeMap<AppId, bool>,
}

impl Automatic {
    /// Whether certificates are ordered for an app.
    pub fn is_on(&self, app: AppId) -> bool {
        self.apps.get(&app).copied().unwrap_or(self.is_default_on)
    }
}

impl Default for Automatic {
    fn default() -> Automatic {
        Automatic {
            is_default_on: true,
            apps: BTreeMap::new(),
        }
    }
}
