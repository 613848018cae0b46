//! Certificates we sign ourselves: for a host that has no other, and to answer an ACME challenge.

use crate::certificate::{Certificate, CertificateError};
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How far back a certificate's validity begins: clocks of visitors may be behind ours.
const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

/// A certificate that signed itself, with the texts to keep it by.
pub struct SelfSigned {
    /// Ready to be shown.
    pub certificate: Certificate,
    /// The certificate as PEM.
    pub chain_pem: String,
    /// Its key as PEM, PKCS#8: a secret.
    pub key_pem: String,
}

impl fmt::Debug for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelfSigned")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

impl Certificate {
    /// Makes a certificate for these hosts, with a new P-256 key, valid for `validity` from `now` on.
    ///
    /// No browser trusts it by itself. Names are host names; `*.example.com` is a wildcard.
    pub fn self_signed(
        names: &[&str],
        now: SystemTime,
        validity: Duration,
    ) -> Result<SelfSigned, CertificateError> {
        let mut params = params(names)?;
        let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let begin = since_1970.saturating_sub(CLOCK_SKEW);
        // Beyond the year 9999 a certificate cannot say when it ends (RFC 5280 section 4.1.2.5).
        let end = since_1970
            .saturating_add(validity)
            .min(Duration::from_secs(253_402_300_799));
        params.not_before = date_time_ymd(1970, 1, 1) + begin;
        params.not_after = date_time_ymd(1970, 1, 1) + end;
        sign(&params)
    }

    /// Makes the certificate that answers a TLS-ALPN-01 challenge for `name` (RFC 8737 section 3):
    /// `key_authorization_digest` is the SHA-256 of the key authorization.
    ///
    /// To be handed to [`Certificates::answer_challenge`](crate::Certificates::answer_challenge).
    pub fn for_challenge(
        name: &str,
        key_authorization_digest: &[u8; 32],
    ) -> Result<Certificate, CertificateError> {
        let mut params = params(&[name])?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(
            key_authorization_digest,
        )];
        sign(&params).map(|made| made.certificate)
    }
}

fn params(names: &[&str]) -> Result<CertificateParams, CertificateError> {
    let names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    let mut subject = DistinguishedName::new();
    if let Some(first) = names.first() {
        subject.push(DnType::CommonName, first.as_str());
    }
    let mut params = CertificateParams::new(names).map_err(|error| not_made(&error))?;
    params.distinguished_name = subject;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn sign(params: &CertificateParams) -> Result<SelfSigned, CertificateError> {
    let key = KeyPair::generate().map_err(|error| not_made(&error))?;
    let signed = params.self_signed(&key).map_err(|error| not_made(&error))?;
    let (chain_pem, key_pem) = (signed.pem(), key.serialize_pem());
    Ok(SelfSigned {
        certificate: Certificate::from_pem(chain_pem.as_bytes(), key_pem.as_bytes())?,
        chain_pem,
        key_pem,
    })
}

fn not_made(error: &rcgen::Error) -> CertificateError {
    CertificateError::NotMade(error.to_string())
}
