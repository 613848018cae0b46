//! Storing a certificate, serving it, and saying for which names.

use mini_proxy::{Certificate, CertificateError};
use serde::Serialize;

use super::moment;
use crate::commands::{Dialog, Output, Page, Platform};
use crate::model::{
    App, AppName, CertificateOrigin, DomainName, Kind, NewCertificate, Problem, Secret, Timestamp,
};

/// The certificate an app has now.
#[derive(Debug, Serialize)]
pub struct Installed {
    app: AppName,
    origin: CertificateOrigin,
    hostnames: Vec<String>,
    issuer: String,
    starts_at: Timestamp,
    expires_at: Timestamp,
    served: Vec<DomainName>,
}

/// A certificate and its key, as PEM.
pub(super) struct Pair {
    pub chain: String,
    pub key: Secret,
}

impl Pair {
    /// What they say, found to belong together.
    pub(super) fn read(&self) -> Result<Certificate, CertificateError> {
        Certificate::from_pem(self.chain.as_bytes(), self.key.reveal().as_bytes())
    }
}

/// Stores a certificate in place of the one of its origin, has it served, and tells where.
pub(super) async fn install(
    platform: &Platform,
    app: &App,
    dialog: &Dialog,
    origin: CertificateOrigin,
    pair: Pair,
) -> Result<Installed, Problem> {
    let certificate = pair.read().map_err(|error| refused(&error))?;
    let now = Timestamp::now();
    let stored = platform.store.replace_certificate(NewCertificate {
        app: Some(app.id),
        origin,
        chain: pair.chain,
        key: pair.key,
        created_at: now,
    });
    stored.await?;
    // Whoever is told that it was added may be visited over HTTPS at once.
    platform.reconciler.wait_for(|_| true).await;

    let exposure = platform.store.exposure(app.id).await?;
    let hosts = platform.reconciler.host_names(&app.name, &exposure);
    let served = hosts
        .iter()
        .filter(|host| platform.reconciler.is_shown(&certificate, host));
    let installed = Installed {
        app: app.name.clone(),
        origin,
        hostnames: certificate.names().to_vec(),
        issuer: certificate.issuer().to_owned(),
        starts_at: moment(certificate.not_before()),
        expires_at: moment(certificate.not_after()),
        served: served.cloned().collect(),
    };
    installed.tell(dialog, now).await;
    if platform.facts.https.is_empty() {
        dialog
            .warning("The server does not listen for HTTPS; give it an address with the setting `https-listen`")
            .await;
    } else if installed.served.is_empty() {
        dialog
            .warning(not_served(&app.name, &hosts, &certificate))
            .await;
    }
    Ok(installed)
}

impl Installed {
    async fn tell(&self, dialog: &Dialog, now: Timestamp) {
        let names = self.hostnames.join(", ");
        dialog
            .header(format!("Added the certificate for {names} to {}", self.app))
            .await;
        if self.expires_at > now {
            dialog
                .detail(format!("It expires at {}", self.expires_at))
                .await;
        }
        for host in &self.served {
            dialog.detail(format!("{host} is served with it")).await;
        }
        if self.expires_at <= now {
            let text = format!("It expired at {}: browsers refuse it", self.expires_at);
            dialog.warning(text).await;
        } else if self.starts_at > now {
            let from = self.starts_at;
            dialog
                .warning(format!(
                    "It is not valid before {from}: until then browsers refuse it"
                ))
                .await;
        }
    }
}

/// Why a certificate is shown for none of an app's hosts, and what to do.
fn not_served(app: &AppName, hosts: &[DomainName], certificate: &Certificate) -> String {
    let list = |hosts: Vec<&DomainName>| {
        let hosts: Vec<&str> = hosts.into_iter().map(DomainName::as_str).collect();
        hosts.join(", ")
    };
    let covered: Vec<&DomainName> = hosts
        .iter()
        .filter(|host| certificate.covers(host.as_str()))
        .collect();
    if !covered.is_empty() {
        return format!(
            "It is not served, for another certificate of {app} comes first for {}\n\
             Remove that one with `certs:remove {app}` before you add this one",
            list(covered)
        );
    }
    let has = match hosts {
        [] => format!("{app} has no host name"),
        hosts => format!(
            "{app} has other host names: {}",
            list(hosts.iter().collect())
        ),
    };
    format!("It is not served: {has}\nAdd one that it covers with `domains:add {app} NAME`")
}

impl Output for Installed {
    fn print(&self, _page: &mut Page) {}
}

/// Why a certificate is not taken.
pub(super) fn refused(error: &CertificateError) -> Problem {
    let what = match error {
        CertificateError::NotMade(_) => "The certificate was not made",
        CertificateError::NoCertificate
        | CertificateError::Unreadable { .. }
        | CertificateError::NoKey
        | CertificateError::KeyEncrypted
        | CertificateError::KeyUnusable
        | CertificateError::KeyMismatch
        | CertificateError::WrongOrder { .. }
        | CertificateError::NoNames => "The certificate was not added",
    };
    let why = match error {
        CertificateError::NoCertificate => {
            format!("the certificate's file cannot be used: {error}")
        }
        CertificateError::NoKey => format!("the key's file cannot be used: {error}"),
        CertificateError::Unreadable { .. }
        | CertificateError::KeyEncrypted
        | CertificateError::KeyUnusable
        | CertificateError::KeyMismatch
        | CertificateError::WrongOrder { .. }
        | CertificateError::NoNames
        | CertificateError::NotMade(_) => error.to_string(),
    };
    let next = match error {
        CertificateError::NoCertificate => {
            "One in DER form is converted with `openssl x509 -inform der -in FILE -out server.crt`"
        }
        CertificateError::Unreadable { .. } => {
            "Export it once more; `openssl x509 -in FILE -noout -text` shows what can be read of it"
        }
        CertificateError::NoKey => {
            "One in DER form is converted with `openssl pkey -inform der -in FILE -out server.key`"
        }
        CertificateError::KeyEncrypted => {
            "Write it without one: `openssl pkey -in FILE -out server.key`"
        }
        CertificateError::KeyUnusable => {
            "ECDSA (P-256, P-384, P-521), Ed25519 and RSA keys of 2048 to 8192 bits can be used"
        }
        CertificateError::KeyMismatch => "Give the key that the certificate was ordered with",
        CertificateError::WrongOrder { .. } => {
            "Put the server's own first: `cat server.crt chain.crt > fullchain.crt`"
        }
        CertificateError::NoNames => {
            "Order one whose subjectAltName holds the names of the app; `domains:report` lists them"
        }
        CertificateError::NotMade(_) => "",
    };
    Problem::new(Kind::Invalid, what, why, next)
}
