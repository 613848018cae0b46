//! TLS with clients: which certificate is shown, and who is refused.
//!
//! A handshake is looked at before it is answered, because rustls cannot refuse a server name with the
//! alert that says so. The name decides alone: a client that sends none, or one without a certificate,
//! is refused and sees no certificate at all.

use crate::certificate::Certificate;
use crate::certificates::Certificates;
use crate::socket::Socket;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::{Acceptor, ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

const HTTP_1: &[u8] = b"http/1.1";
const HTTP_2: &[u8] = b"h2";
/// RFC 8737 section 6.2.
const ACME: &[u8] = b"acme-tls/1";

/// A record with the fatal alert `unrecognized_name`, 112 (RFC 8446 sections 5.1 and 6, RFC 6066 section 3).
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// How TLS is spoken with clients; the threads share it, so that each resumes the sessions of all.
#[derive(Debug)]
pub(crate) struct Tls {
    site: Arc<ServerConfig>,
    challenge: Arc<ServerConfig>,
    certificates: Arc<ArcSwap<Certificates>>,
}

/// What a client was shown.
#[derive(Debug)]
pub(crate) struct Shown {
    /// The server name it asked for, lower case.
    name: Box<str>,
    certificate: Arc<Certificate>,
}

/// A handshake that led to HTTP.
pub(crate) struct Secured {
    pub(crate) stream: TlsStream<Socket>,
    pub(crate) shown: Shown,
    pub(crate) is_http2: bool,
}

/// Why a handshake did not lead to HTTP.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsecured {
    #[error("the client names no server")]
    Nameless,
    #[error("no certificate for {0:?}")]
    Unknown(Box<str>),
    #[error("answered a TLS-ALPN-01 challenge for {0:?}")]
    Challenge(Box<str>),
    #[error("the handshake failed")]
    Failed(#[from] io::Error),
}

impl Tls {
    pub(crate) fn new(certificates: Arc<ArcSwap<Certificates>>) -> Result<Tls, rustls::Error> {
        let by_name = |is_challenge| ByName {
            certificates: Arc::clone(&certificates),
            is_challenge,
        };
        let mut site = config(by_name(false))?;
        site.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
        // Sealed with keys of this process and kept by the client: no store, and no lock between threads.
        site.ticketer = Ticketer::new()?;
        // Browsers use one; each costs bytes and encryption in every handshake.
        site.send_tls13_tickets = 1;
        let mut challenge = config(by_name(true))?;
        challenge.alpn_protocols = vec![ACME.to_vec()];
        challenge.send_tls13_tickets = 0;
        Ok(Tls {
            site: Arc::new(site),
            challenge: Arc::new(challenge),
            certificates,
        })
    }

    /// Does the handshake; a client that is refused is told so before this returns.
    pub(crate) async fn accept(&self, stream: Socket) -> Result<Secured, Unsecured> {
        let mut start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let hello = start.client_hello();
        let name: Option<Box<str>> = hello.server_name().map(|name| lower(name).into());
        if let Some(name) = &name
            && offers_challenge(&hello)
            && self.certificates.load().find_challenge(name).is_some()
        {
            let mut stream = start.into_stream(Arc::clone(&self.challenge)).await?;
            // The handshake itself is the answer (RFC 8737 section 3).
            stream.shutdown().await?;
            return Err(Unsecured::Challenge(name.clone()));
        }
        let found = name
            .as_ref()
            .and_then(|name| self.certificates.load().find(name).map(Arc::clone));
        let (Some(name), Some(certificate)) = (&name, found) else {
            start.io.write_all(&UNRECOGNIZED_NAME).await?;
            start.io.shutdown().await?;
            return Err(name.map_or(Unsecured::Nameless, Unsecured::Unknown));
        };
        let name = name.clone();
        let stream = start.into_stream(Arc::clone(&self.site)).await?;
        Ok(Secured {
            is_http2: stream.get_ref().1.alpn_protocol() == Some(HTTP_2),
            stream,
            shown: Shown { name, certificate },
        })
    }
}

impl Shown {
    /// Whether a request for this host, as it is routed on, may come over the connection (RFC 9110 section
    /// 7.4): it is the name asked for, or the certificate stands for both.
    pub(crate) fn is_for(&self, host: &str) -> bool {
        &*self.name == host || self.certificate.covers(host)
    }
}

fn config(resolver: ByName) -> Result<ServerConfig, rustls::Error> {
    // TLS 1.2 and 1.3, no early data: it could be replayed.
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// Certificates by server name, as they are when the handshake gets to it.
#[derive(Debug)]
struct ByName {
    certificates: Arc<ArcSwap<Certificates>>,
    is_challenge: bool,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = lower(hello.server_name()?);
        let certificates = self.certificates.load();
        let found = if self.is_challenge {
            certificates.find_challenge(&name)
        } else {
            certificates.find(&name)
        };
        found.map(|certificate| Arc::clone(certificate.key()))
    }
}

fn offers_challenge(hello: &ClientHello<'_>) -> bool {
    hello
        .alpn()
        .is_some_and(|mut offered| offered.any(|protocol| protocol == ACME))
}

fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}
