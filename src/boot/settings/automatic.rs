//! Automatic certificates: on with one e-mail address.

use std::net::SocketAddr;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mini_proxy::acme::{
    AcmeSettings, Authority, Binding, ChallengeKind, DnsHook, LETS_ENCRYPT, SelfCheck,
};
use zeroize::Zeroizing;

/// The test authority of Let's Encrypt, which browsers do not trust and which takes far more orders.
const LETS_ENCRYPT_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// What was set about automatic certificates.
#[derive(Debug, Clone)]
pub(in crate::boot) struct Automatic {
    pub email: Option<String>,
    pub directory: String,
    pub eab_kid: Option<String>,
    pub eab_hmac_key: Option<Zeroizing<Vec<u8>>>,
    pub ca_file: Option<PathBuf>,
    pub challenges: Option<Vec<ChallengeKind>>,
    pub dns_hook: Option<PathBuf>,
    /// The ports of the self-check for HTTP-01 and TLS-ALPN-01; `None` when there is to be none.
    pub self_check: Option<(u16, u16)>,
    pub resolver: Option<SocketAddr>,
}

impl Default for Automatic {
    fn default() -> Self {
        let ports = SelfCheck::default();
        Self {
            email: None,
            directory: LETS_ENCRYPT.to_owned(),
            eab_kid: None,
            eab_hmac_key: None,
            ca_file: None,
            challenges: None,
            dns_hook: None,
            self_check: Some((ports.http_port, ports.https_port)),
            resolver: None,
        }
    }
}

impl Automatic {
    /// What does not go together.
    pub(super) fn mistakes(&self, has_https: bool) -> Vec<String> {
        let mut mistakes = Vec::new();
        if self.email.is_some() && !has_https {
            mistakes.push(
                "acme-email: certificates are of no use while https-listen is off".to_owned(),
            );
        }
        if self.eab_kid.is_some() != self.eab_hmac_key.is_some() {
            mistakes.push(
                "acme-eab-kid and acme-eab-hmac-key: an account is bound with both or not at all"
                    .to_owned(),
            );
        }
        let challenges = self.challenges.as_deref().unwrap_or_default();
        if challenges.contains(&ChallengeKind::Dns01) && self.dns_hook.is_none() {
            mistakes.push(
                "acme-challenge: dns-01 needs a program that sets records, give acme-dns-hook"
                    .to_owned(),
            );
        }
        mistakes
    }

    /// What the engine is started with; `None` without an e-mail address.
    pub(in crate::boot) fn settings(&self) -> Option<AcmeSettings> {
        let binding = self.eab_kid.clone().zip(self.eab_hmac_key.clone());
        let mut settings = AcmeSettings::new(Authority {
            directory: self.directory.clone(),
            email: self.email.clone()?,
            binding: binding.map(|(key_id, hmac_key)| Binding { key_id, hmac_key }),
            roots: self.ca_file.clone(),
        });
        if let Some(challenges) = &self.challenges {
            settings.challenges.clone_from(challenges);
        }
        settings.dns_hook = self.dns_hook.clone().map(DnsHook::new);
        settings.self_check = self.self_check.map(|(http_port, https_port)| SelfCheck {
            http_port,
            https_port,
            resolver: self.resolver,
        });
        Some(settings)
    }
}

pub(super) fn email(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | '?' | '%' | ':');
    match text.split_once('@') {
        Some((name, host))
            if !name.is_empty() && host.contains('.') && text.chars().all(is_plain) =>
        {
            Ok(text.to_owned())
        }
        _ => Err(format!("`{text}` is not an e-mail address")),
    }
}

pub(super) fn directory(text: &str) -> Result<String, String> {
    match text {
        "letsencrypt" => Ok(LETS_ENCRYPT.to_owned()),
        "letsencrypt-staging" => Ok(LETS_ENCRYPT_STAGING.to_owned()),
        url if url.starts_with("https://") && url.parse::<http::Uri>().is_ok() => {
            Ok(url.to_owned())
        }
        _ => Err(format!(
            "`{text}` is not a directory, give an https:// URL, letsencrypt or letsencrypt-staging"
        )),
    }
}

/// The key as authorities give it: base64url, or plain base64, with or without padding. The value is not repeated.
pub(super) fn hmac_key(text: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let normal = text.trim().trim_end_matches('=').replace('+', "-");
    let normal = Zeroizing::new(normal.replace('/', "_"));
    match URL_SAFE_NO_PAD.decode(normal.as_bytes()) {
        Ok(key) if !key.is_empty() => Ok(Zeroizing::new(key)),
        _ => Err("the value is not base64, as authorities give such keys".to_owned()),
    }
}

pub(super) fn challenge(text: &str) -> Result<ChallengeKind, String> {
    let all = [
        ChallengeKind::Http01,
        ChallengeKind::TlsAlpn01,
        ChallengeKind::Dns01,
    ];
    all.into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| {
            format!("`{text}` is not a challenge, there are http-01, tls-alpn-01 and dns-01")
        })
}

/// `on`, `off`, or the two ports.
pub(super) fn self_check(text: &str) -> Result<Option<(u16, u16)>, String> {
    let wrong = || format!("`{text}` is none of on, off and HTTP_PORT:HTTPS_PORT");
    match text {
        "on" => Ok(Automatic::default().self_check),
        "off" => Ok(None),
        ports => {
            let (http, https) = ports.split_once(':').ok_or_else(wrong)?;
            let port = |text: &str| text.parse::<u16>().map_err(|_| wrong());
            Ok(Some((port(http)?, port(https)?)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_are_written_elsewhere() {
        assert!(email("ops@example.com").is_ok());
        for bad in [
            "",
            "ops",
            "@example.com",
            "a@b",
            "a b@c.d",
            "mailto:a@b.c",
            "a@b.c,d@e.f",
        ] {
            assert!(email(bad).is_err(), "{bad:?}");
        }
        assert_eq!(directory("letsencrypt").unwrap(), LETS_ENCRYPT);
        assert_eq!(
            directory("https://ca.lan/dir").unwrap(),
            "https://ca.lan/dir"
        );
        assert!(directory("http://ca.lan/dir").is_err());
        assert_eq!(*hmac_key("_-8_").unwrap(), *hmac_key("/+8/").unwrap());
        assert_eq!(*hmac_key("YQ==").unwrap(), b"a");
        let refused = hmac_key("a secret!").unwrap_err();
        assert!(!refused.contains("secret"), "{refused}");
        assert_eq!(self_check("on"), Ok(Some((80, 443))));
        assert_eq!(self_check("5002:5001"), Ok(Some((5002, 5001))));
        assert_eq!(self_check("off"), Ok(None));
        assert!(self_check("5002").is_err());
        assert_eq!(challenge("dns-01"), Ok(ChallengeKind::Dns01));
        assert!(challenge("dns").is_err());
    }

    #[test]
    fn an_address_turns_it_on_and_the_rest_does_not() {
        let mut automatic = Automatic {
            dns_hook: Some(PathBuf::from("/usr/local/bin/hook")),
            ..Automatic::default()
        };
        assert_eq!(automatic.settings(), None);
        automatic.email = Some("ops@example.com".to_owned());
        let settings = automatic.settings().unwrap();
        assert_eq!(settings.authority.directory, LETS_ENCRYPT);
        assert!(settings.self_check.is_some() && settings.dns_hook.is_some());
    }
}
