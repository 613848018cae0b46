//! Which authority, how names are proved, and how much is done at once.

use super::plan::Limits;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// The directory of Let's Encrypt.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// How certificates are come by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AcmeSettings {
    /// Who is asked for them.
    pub authority: Authority,
    /// How names are proved, the preferred way first. Wildcards are always proved by DNS-01.
    pub challenges: Vec<ChallengeKind>,
    /// The check that a domain reaches this server before an order is placed; `None` places it unseen.
    pub self_check: Option<SelfCheck>,
    /// The program that sets DNS records, for DNS-01.
    pub dns_hook: Option<DnsHook>,
    /// How much is done at once.
    pub limits: Limits,
}

impl AcmeSettings {
    /// With the given authority, HTTP-01 before TLS-ALPN-01, the self-check, no hook.
    pub fn new(authority: Authority) -> AcmeSettings {
        AcmeSettings {
            authority,
            challenges: vec![ChallengeKind::Http01, ChallengeKind::TlsAlpn01],
            self_check: Some(SelfCheck::default()),
            dns_hook: None,
            limits: Limits::default(),
        }
    }
}

/// A certificate authority, and who we are to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authority {
    /// The URL of its directory (RFC 8555 section 7.1.1).
    pub directory: String,
    /// Where it writes to about certificates and terms. With the first order we agree to its terms of service.
    pub email: String,
    /// The account there that ours is bound to, for authorities that ask for one.
    pub binding: Option<Binding>,
    /// PEM file of the roots its own HTTPS is verified with, in place of the system's: for authorities of a
    /// private network, and for tests.
    pub roots: Option<PathBuf>,
}

/// An account at the authority that was made by other means (RFC 8555 section 7.3.4).
#[derive(Clone, PartialEq, Eq)]
pub struct Binding {
    /// Names it to the authority.
    pub key_id: String,
    /// The shared secret, decoded.
    pub hmac_key: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Binding")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// A way to prove that a name is ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChallengeKind {
    /// By an answer on port 80 (RFC 8555 section 8.3).
    Http01,
    /// By a certificate on port 443 (RFC 8737).
    TlsAlpn01,
    /// By a DNS record (RFC 8555 section 8.4), which the hook sets.
    Dns01,
}

impl ChallengeKind {
    /// As RFC 8555 and RFC 8737 write it.
    pub fn as_str(self) -> &'static str {
        match self {
            ChallengeKind::Http01 => "http-01",
            ChallengeKind::TlsAlpn01 => "tls-alpn-01",
            ChallengeKind::Dns01 => "dns-01",
        }
    }
}

impl fmt::Display for ChallengeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How it is checked that a domain reaches this server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SelfCheck {
    /// The port an authority connects to for HTTP-01: 80, but for test authorities.
    pub http_port: u16,
    /// The port an authority connects to for TLS-ALPN-01: 443, but for test authorities.
    pub https_port: u16,
    /// The DNS server that is asked; `None` asks as the system does.
    pub resolver: Option<SocketAddr>,
}

impl Default for SelfCheck {
    fn default() -> SelfCheck {
        SelfCheck {
            http_port: 80,
            https_port: 443,
            resolver: None,
        }
    }
}

/// A program that sets and removes the DNS records of DNS-01.
///
/// It is called as `PROGRAM present NAME VALUE`, where NAME is like `_acme-challenge.example.com` and VALUE
/// the content of the TXT record, and ends with success once the record can be seen from outside. Then
/// `PROGRAM cleanup NAME VALUE` removes that one record: several with the same name may exist at a time. It
/// gets no environment but `PATH` and `HOME`, and no input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DnsHook {
    /// The program.
    pub program: PathBuf,
    /// How long one call may take, after which it is killed.
    pub time_limit: Duration,
}

impl DnsHook {
    /// With a time limit of three minutes, which is what slow DNS providers need.
    pub fn new(program: impl Into<PathBuf>) -> DnsHook {
        DnsHook {
            program: program.into(),
            time_limit: Duration::from_secs(3 * 60),
        }
    }
}
