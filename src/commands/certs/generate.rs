//! `certs:generate`

use std::time::{Duration, SystemTime};

use clap::Args;
use mini_proxy::Certificate;
use serde::{Deserialize, Serialize};

use super::installed::{Installed, Pair, install, refused};
use crate::commands::domains::typed;
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{AppName, CertificateOrigin, DomainName, Permission, Problem, Secret};

/// How long it is valid: a year, as Dokku's `openssl x509 -days 365`.
const VALIDITY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Make a self-signed certificate, to try HTTPS with
///
/// Browsers warn of it. A certificate that was added with certs:add comes before it.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// The app
    pub app: AppName,
    /// The host names it is for
    #[arg(required = true, value_name = "DOMAIN", value_parser = typed)]
    pub domains: Vec<DomainName>,
}

impl Command for Generate {
    type Output = Installed;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Installed, Problem> {
        let names: Vec<&str> = self.domains.iter().map(DomainName::as_str).collect();
        let made = Certificate::self_signed(&names, SystemTime::now(), VALIDITY)
            .map_err(|error| refused(&error))?;
        let pair = Pair {
            chain: made.chain_pem,
            key: Secret::new(made.key_pem),
        };
        let origin = CertificateOrigin::SelfSigned;
        install(platform, authorized.app()?, dialog, origin, pair).await
    }
}
