//! `certs:renew`

use std::time::Duration;

use clap::Args;
use mini_proxy::acme::certificate_id;
use serde::{Deserialize, Serialize};

use super::kept;
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{
    AppName, CertificateOrigin, DomainName, Kind, Permission, Problem, RenewalAdvice, Timestamp,
};

/// The authority is asked what it thinks of the new certificate's renewal, not of the old one's.
const ASK_AGAIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Order the automatic certificates of an app now
///
/// Those that are there are renewed, whatever is left of their life, and orders that failed are tried at once instead of
/// at their next try. mini does both by itself in time; authorities limit how many certificates they issue for a name in a
/// week. The result is in certs:report. A certificate of the server for all apps below a base domain is renewed by the
/// server alone; here only an order for it that failed is tried at once.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renew {
    /// The app
    pub app: AppName,
    /// Only the certificate of this host name
    pub domain: Option<DomainName>,
}

/// What is ordered.
#[derive(Debug, Serialize)]
pub struct Renewing {
    app: AppName,
    hostnames: Vec<String>,
}

impl Command for Renew {
    type Output = Renewing;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Renewing, Problem> {
        let app = authorized.app()?;
        let automatic = platform.store.automatic_certificates().await?;
        if platform.facts.certificate_authority.is_some() && !automatic.is_on(app.id) {
            return Err(Problem::new(
                Kind::Invalid,
                format!("Certificates are not ordered for {}", app.name),
                "that was turned off",
                format!("Turn it on: `certs:auto {} on`", app.name),
            ));
        }
        if platform.facts.certificate_authority.is_none() {
            return Err(Problem::new(
                Kind::Invalid,
                "Certificates are not ordered automatically",
                "the server has no e-mail address to order them with",
                "Give it one: `acme-email` in /etc/mini/mini.toml",
            ));
        }
        let book = platform.store.order_book().await?;
        let mut names: Vec<String> = platform
            .reconciler
            .visited_names(&book.desired, app)
            .iter()
            .map(DomainName::to_string)
            .collect();
        if let Some(domain) = &self.domain {
            names.retain(|name| name == domain.as_str());
            if names.is_empty() {
                return Err(Problem::new(
                    Kind::NotFound,
                    format!("{} is not a host name of {}", domain, app.name),
                    "",
                    format!("See its names: `mini domains:report {}`", app.name),
                ));
            }
        }
        let now = Timestamp::now();
        for kept in kept(platform, app).await? {
            let (CertificateOrigin::Acme, Ok(certificate)) = (kept.row.origin, kept.read) else {
                continue;
            };
            let is_meant = names.iter().any(|name| certificate.covers(name));
            if let Some(id) = certificate_id(&certificate).filter(|_| is_meant) {
                let advice = RenewalAdvice {
                    window: Some((now, now)),
                    ask_again: now.saturating_add(ASK_AGAIN).unwrap_or(now),
                };
                platform.store.keep_advice(id, advice).await?;
            }
        }
        let above = names.iter().filter_map(|name| {
            let (_, above) = name.split_once('.')?;
            Some(format!("*.{above}"))
        });
        let tried = names.iter().cloned().chain(above).collect();
        platform.store.forget_orders(tried).await?;
        platform.reconciler.names_changed().notify_one();
        dialog
            .header(format!("Ordering certificates of {}", app.name))
            .await;
        Ok(Renewing {
            app: app.name.clone(),
            hostnames: names,
        })
    }
}

impl Output for Renewing {
    fn print(&self, page: &mut Page) {
        page.detail(format!("`mini certs:report {}` says how it goes", self.app));
    }
}
