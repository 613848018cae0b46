//! Does a domain reach this server? Asked before the authority is, whose patience with failures is limited.

use super::name::CertName;
use super::resolver::{self, ResolveError};
use super::settings::{ChallengeKind, SelfCheck};
use super::stage::Stage;
use crate::certificate::Certificate;
use bytes::Bytes;
use http::header::HOST;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

mod pinned;

/// How long a connection may take to be made, and then the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Ours has 64 bytes; another server's may be anything.
const MAX_ANSWER_BYTES: usize = 4096;

/// Why a domain does not reach this server, to be put behind its name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreached {
    #[error(transparent)]
    Unresolved(#[from] ResolveError),
    #[error(
        "it points to {}, where nothing answers on port {port} ({source})",
        list(addresses)
    )]
    Closed {
        addresses: Vec<IpAddr>,
        port: u16,
        source: io::Error,
    },
    #[error("it points to {address}, where another server answers on port {port} ({answer})")]
    Another {
        address: IpAddr,
        port: u16,
        answer: String,
    },
    #[error("no self-check can be made")]
    Unmade,
}

/// Whether a challenge of this kind can be expected to succeed for a name. DNS-01 always can.
pub(crate) async fn reaches_us(
    check: &SelfCheck,
    kind: ChallengeKind,
    name: &CertName,
    stage: &Arc<Stage>,
) -> Result<(), Unreached> {
    let name = name.validated();
    let port = match kind {
        ChallengeKind::Dns01 => return Ok(()),
        ChallengeKind::Http01 => check.http_port,
        ChallengeKind::TlsAlpn01 => check.https_port,
    };
    let addresses = resolver::addresses(name, check.resolver).await?;
    let (stream, address) = connect(addresses, port).await?;
    let answered = async {
        match kind {
            ChallengeKind::TlsAlpn01 => over_tls(name, stream, stage).await,
            ChallengeKind::Http01 | ChallengeKind::Dns01 => over_http(name, stream, stage).await,
        }
    };
    let answered = tokio::time::timeout(PATIENCE, answered).await;
    let another = |answer: String| Unreached::Another {
        address,
        port,
        answer,
    };
    match answered {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Answer::Other(answer))) => Err(another(answer)),
        Ok(Err(Answer::Unasked)) => Err(Unreached::Unmade),
        Err(_) => Err(another(format!("no answer in {} s", PATIENCE.as_secs()))),
    }
}

/// What came instead of our own answer.
enum Answer {
    Other(String),
    Unasked,
}

impl Answer {
    fn failed(error: impl std::error::Error) -> Answer {
        Answer::Other(super::told(&error))
    }
}

/// Connects to the first address that takes us, as authorities do.
async fn connect(addresses: Vec<IpAddr>, port: u16) -> Result<(TcpStream, IpAddr), Unreached> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in &addresses {
        let connecting = TcpStream::connect(SocketAddr::new(*address, port));
        match tokio::time::timeout(PATIENCE, connecting).await {
            Ok(Ok(stream)) => return Ok((stream, *address)),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(Unreached::Closed {
        addresses,
        port,
        source: last,
    })
}

async fn over_http(name: &str, stream: TcpStream, stage: &Arc<Stage>) -> Result<(), Answer> {
    let token = format!("self-check-{}", random_text().ok_or(Answer::Unasked)?);
    let expected = random_text().ok_or(Answer::Unasked)?;
    let _shown = stage.show_http(&token, &expected);
    let request = Request::get(format!("/.well-known/acme-challenge/{token}"))
        .header(HOST, name)
        .body(Empty::<Bytes>::new())
        .map_err(|_| Answer::Unasked)?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(Answer::failed)?;
    let asked = async {
        let response = sender.send_request(request).await.map_err(Answer::failed)?;
        // Redirects are not followed: they lead away from the answer, and ours never sends one here.
        if response.status() != StatusCode::OK {
            return Err(Answer::Other(format!("status {}", response.status())));
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES);
        let body = body.collect().await.ok().map(|body| body.to_bytes());
        match body {
            Some(body) if body == expected.as_bytes() => Ok(()),
            _ => Err(Answer::Other("status 200, but not our answer".to_owned())),
        }
    };
    // The connection has to be driven along; it ends with the request at the latest.
    tokio::pin!(asked, connection);
    tokio::select! {
        biased;
        answer = &mut asked => answer,
        _ = &mut connection => asked.await,
    }
}

async fn over_tls(name: &str, stream: TcpStream, stage: &Arc<Stage>) -> Result<(), Answer> {
    let mut digest = [0; 32];
    aws_lc_rs::rand::fill(&mut digest).map_err(|_| Answer::Unasked)?;
    let certificate = Certificate::for_challenge(name, &digest).map_err(|_| Answer::Unasked)?;
    let expected = certificate.chain().first().cloned();
    let connector = pinned::connector(expected.ok_or(Answer::Unasked)?);
    let connector = connector.map_err(|_| Answer::Unasked)?;
    let server = name.to_owned().try_into().map_err(|_| Answer::Unasked)?;
    let _shown = stage.show_tls(name, Arc::new(certificate));
    let connected = connector.connect(server, stream).await;
    connected.map_err(Answer::failed).map(|_| ())
}

/// 256 random bits as text.
fn random_text() -> Option<String> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn list(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    texts.join(" and ")
}
