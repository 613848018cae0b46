//! Talking HTTPS to the authority: bounded in time and size, and listening to `Retry-After`.

use super::settings::Authority;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// How long one answer of the authority may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// A certificate chain has some KiB.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// Why the authority cannot be talked to as it was set.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file with its roots cannot be read.
    #[error("the certificates in {} cannot be read", .path.display())]
    Roots {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// TLS cannot be set up, most often because the system has no roots.
    #[error("TLS towards the authority cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// What went wrong between us and the authority.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the authority did not answer within {} s", PATIENCE.as_secs())]
    Silent,
    #[error("the authority cannot be reached")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    #[error("the authority's answer broke off")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the authority answered with status {0}")]
    Status(StatusCode),
}

type Https = HyperClient<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>;

/// A client for one order: connections are shared with other orders, what it hears is not.
#[derive(Clone, Debug)]
pub(crate) struct AuthorityClient {
    https: Https,
    asked_to_wait: Arc<Mutex<Option<SystemTime>>>,
}

impl AuthorityClient {
    pub(crate) fn new(authority: &Authority) -> Result<AuthorityClient, ClientError> {
        let builder = match &authority.roots {
            None => HttpsConnectorBuilder::new()
                .try_with_platform_verifier()
                .map_err(ClientError::Tls)?,
            Some(path) => {
                let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
                let config = ClientConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()
                    .map_err(ClientError::Tls)?
                    .with_root_certificates(read_roots(path)?)
                    .with_no_client_auth();
                HttpsConnectorBuilder::new().with_tls_config(config)
            }
        };
        let connector = builder.https_only().enable_http1().enable_http2().build();
        Ok(AuthorityClient {
            https: HyperClient::builder(TokioExecutor::new()).build(connector),
            asked_to_wait: Arc::default(),
        })
    }

    /// For another order.
    pub(crate) fn fresh(&self) -> AuthorityClient {
        AuthorityClient {
            https: self.https.clone(),
            asked_to_wait: Arc::default(),
        }
    }

    /// Until when the authority has asked to be left alone, in its last refusal that said so.
    pub(crate) fn asked_to_wait(&self) -> Option<SystemTime> {
        *self
            .asked_to_wait
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpClient for AuthorityClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let answer = self.https.request(request);
        let asked_to_wait = Arc::clone(&self.asked_to_wait);
        Box::pin(async move {
            let answer = tokio::time::timeout(PATIENCE, async {
                let response = answer.await.map_err(Trouble::Unreachable)?;
                let (parts, body) = response.into_parts();
                let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
                Ok((parts, body.map_err(Trouble::Broken)?.to_bytes()))
            });
            let answered = answer.await.unwrap_or(Err(Trouble::Silent));
            let (parts, body) = answered.map_err(|trouble| Error::Other(Box::new(trouble)))?;
            if !parts.status.is_success() {
                if let Some(at) = retry_after(&parts.headers, SystemTime::now()) {
                    let mut asked = asked_to_wait.lock().unwrap_or_else(PoisonError::into_inner);
                    *asked = Some(at);
                }
                // Whatever stands before the authority says so in HTML.
                if !is_json(&parts.headers) {
                    return Err(Error::Other(Box::new(Trouble::Status(parts.status))));
                }
            }
            Ok(BytesResponse {
                parts,
                body: Box::new(body),
            })
        })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.contains("json"))
}

/// The moment a `Retry-After` means: seconds from now, or a date (RFC 9110 section 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<SystemTime> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => now.checked_add(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok(),
    }
}

fn read_roots(path: &PathBuf) -> Result<RootCertStore, ClientError> {
    let unread = |source| ClientError::Roots {
        path: path.clone(),
        source,
    };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path);
    for certificate in certificates.map_err(|error| unread(error.into()))? {
        let certificate = certificate.map_err(|error| unread(error.into()))?;
        roots
            .add(certificate)
            .map_err(|error| unread(error.into()))?;
    }
    match roots.is_empty() {
        true => Err(unread("it holds no certificate in PEM form".into())),
        false => Ok(roots),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_json, retry_after};
    use http::HeaderMap;
    use http::header::{CONTENT_TYPE, RETRY_AFTER};
    use std::time::{Duration, SystemTime};

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_700);
        let check = |text: &str, expected: Option<u64>| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            let expected = expected.map(|seconds| now + Duration::from_secs(seconds));
            assert_eq!(retry_after(&headers, now), expected, "{text:?}");
        };
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(77));
        check("-1", None);
        check("soon", None);
        check(&u64::MAX.to_string(), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn only_json_is_read_as_the_authority_s_own_words() {
        let check = |kind: &str| {
            is_json(&HeaderMap::from_iter([(
                CONTENT_TYPE,
                kind.parse().unwrap(),
            )]))
        };
        assert!(check("application/problem+json"));
        assert!(check("application/json; charset=utf-8"));
        assert!(!check("text/html"));
        assert!(!is_json(&HeaderMap::new()));
    }
}
