//! A certificate with its key, read from PEM and found to belong together.

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// A certificate chain and the key of its first certificate.
///
/// A plain value: two are equal when their chains are. It may have expired: whether to show it all the same
/// is the caller's choice, and an expired certificate tells a visitor more than a refused connection.
#[derive(Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    names: Vec<String>,
    subject: String,
    issuer: String,
    serial: String,
    fingerprint: String,
    not_before: SystemTime,
    not_after: SystemTime,
}

/// Why a chain and a key make no certificate that can be shown.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CertificateError {
    /// The text holds no `BEGIN CERTIFICATE` section.
    #[error("it holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// A section of the chain is damaged: PEM, base64 or X.509.
    #[error("certificate {number} of the chain cannot be read")]
    Unreadable {
        /// Which one, counted from 1.
        number: usize,
    },
    /// The text holds no section with an unencrypted private key.
    #[error(
        "it holds no private key in PEM form (-----BEGIN PRIVATE KEY-----, EC PRIVATE KEY or RSA PRIVATE KEY)"
    )]
    NoKey,
    /// The key is protected by a passphrase, which nobody could type when the server starts.
    #[error("the private key is protected by a passphrase")]
    KeyEncrypted,
    /// The key is damaged, or of a kind TLS servers do not use: ECDSA (P-256, P-384, P-521), Ed25519 and RSA
    /// of 2048 to 8192 bits are read.
    #[error("the private key cannot be used")]
    KeyUnusable,
    /// The key belongs to another certificate.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// The key belongs to a later certificate of the chain: the server's own has to come first.
    #[error(
        "the private key belongs to certificate {number} of the chain; the server's own certificate has to come first"
    )]
    WrongOrder {
        /// Which one, counted from 1.
        number: usize,
    },
    /// It names no host: neither DNS names in its subjectAltName nor a host name as its common name.
    #[error("the certificate names no host")]
    NoNames,
    /// No certificate could be made for these names.
    #[error("no certificate can be made for these names: {0}")]
    NotMade(String),
}

impl Certificate {
    /// Reads a chain, the server's own certificate first, and its key: PKCS#8, SEC 1 or PKCS#1, unencrypted.
    ///
    /// Sections of other kinds are passed over, so that one file may hold both. No error of it repeats
    /// anything of the key.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Certificate, CertificateError> {
        let chain = read_chain(chain)?;
        let key = read_key(key)?;
        let signing = any_supported_type(&key).map_err(|_| CertificateError::KeyUnusable)?;
        match chain
            .iter()
            .position(|of_chain| belongs(&*signing, of_chain))
        {
            Some(0) => {}
            Some(before) => return Err(CertificateError::WrongOrder { number: before + 1 }),
            None => return Err(CertificateError::KeyMismatch),
        }
        let key = CertifiedKey::new(chain, signing);
        let leaf = key.cert.first().ok_or(CertificateError::NoCertificate)?;
        let unreadable = CertificateError::Unreadable { number: 1 };
        let (_, leaf_read) = X509Certificate::from_der(leaf).map_err(|_| unreadable)?;
        let names = names_of(&leaf_read);
        if names.is_empty() {
            return Err(CertificateError::NoNames);
        }
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, leaf);
        Ok(Certificate {
            names,
            subject: leaf_read.subject().to_string(),
            issuer: leaf_read.issuer().to_string(),
            serial: leaf_read.raw_serial_as_string(),
            fingerprint: hexadecimal(digest.as_ref()),
            not_before: time(leaf_read.validity().not_before.timestamp()),
            not_after: time(leaf_read.validity().not_after.timestamp()),
            key: Arc::new(key),
        })
    }

    /// The hosts it is for, lower case, wildcards as `*.example.com`: the DNS names of its subjectAltName, or,
    /// if it has none, its common name, which today's browsers no longer look at (RFC 9525 section 6.3).
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether one of its names is this host, or a wildcard one label above it (RFC 9525 section 6.3).
    ///
    /// `host` is lower case, without port and trailing dot.
    pub fn covers(&self, host: &str) -> bool {
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(wildcard) => parent == Some(wildcard),
            None => name == host,
        })
    }

    /// From when it is valid.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// Until when it is valid.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Whom it names, such as `CN=shop.example.com`; often empty today.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Who signed it, such as `C=US, O=Let's Encrypt, CN=E7`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Its serial number: hexadecimal bytes with colons between.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// The SHA-256 digest of the certificate itself: hexadecimal bytes with colons between.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Whether it signed itself, as far as its names say: visitors' browsers warn of it then.
    pub fn is_self_signed(&self) -> bool {
        self.subject == self.issuer
    }

    /// The chain in DER, its own certificate first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.key.cert
    }

    pub(crate) fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }
}

/// The key belongs to the first certificate, so the chain says it all.
impl PartialEq for Certificate {
    fn eq(&self, other: &Certificate) -> bool {
        Arc::ptr_eq(&self.key, &other.key) || self.key.cert == other.key.cert
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("names", &self.names)
            .field("issuer", &self.issuer)
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

fn read_chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let mut chain = Vec::new();
    for (number, read) in (1..).zip(CertificateDer::pem_slice_iter(pem)) {
        let unreadable = || CertificateError::Unreadable { number };
        let certificate = read.map_err(|_| unreadable())?;
        X509Certificate::from_der(&certificate).map_err(|_| unreadable())?;
        chain.push(certificate);
    }
    if chain.is_empty() {
        return Err(CertificateError::NoCertificate);
    }
    Ok(chain)
}

fn read_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateError> {
    // `ENCRYPTED PRIVATE KEY` is PKCS#8's way to say it, `Proc-Type: 4,ENCRYPTED` that of RFC 1421.
    if pem.windows(9).any(|window| window == b"ENCRYPTED") {
        return Err(CertificateError::KeyEncrypted);
    }
    match PrivateKeyDer::from_pem_slice(pem) {
        Ok(key) => Ok(key),
        Err(rustls_pki_types::pem::Error::NoItemsFound) => Err(CertificateError::NoKey),
        // The cause would repeat a line of the key.
        Err(_) => Err(CertificateError::KeyUnusable),
    }
}

/// Whether a key is that of a certificate. Not `CertifiedKey::keys_match`, which takes a certificate with a
/// critical extension that it does not know, as an ACME challenge has, for one of another key.
fn belongs(key: &dyn SigningKey, certificate: &CertificateDer<'_>) -> bool {
    let read = X509Certificate::from_der(certificate);
    match (key.public_key(), read) {
        (Some(public), Ok((_, read))) => public.as_ref() == read.public_key().raw,
        _ => false,
    }
}

fn names_of(certificate: &X509Certificate<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: &str| {
        let name = name.to_ascii_lowercase();
        if !names.contains(&name) {
            names.push(name);
        }
    };
    if let Ok(Some(alternatives)) = certificate.subject_alternative_name() {
        for name in &alternatives.value.general_names {
            if let GeneralName::DNSName(name) = name {
                add(name);
            }
        }
    } else {
        let common = certificate.subject().iter_common_name();
        for name in common.filter_map(|name| name.as_str().ok()) {
            let host = name.strip_prefix("*.").unwrap_or(name);
            if host.parse::<crate::Host>().is_ok() {
                add(name);
            }
        }
    }
    names
}

/// Seconds since 1970, also before it.
fn time(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let moment = if seconds < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    };
    moment.unwrap_or(UNIX_EPOCH)
}

fn hexadecimal(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}

#[cfg(test)]
mod tests;
