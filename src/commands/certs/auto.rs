//! `certs:auto`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Permission, Problem};

/// Say whether certificates are ordered for an app
///
/// What `letsencrypt:enable` and `letsencrypt:disable` are for Dokku with its letsencrypt plugin. On, which is the default, mini
/// orders and renews certificates for all names of the app once the server has the setting acme-email. Off, it orders none,
/// and takes nothing away: visitors are shown a certificate that is there until it expires or `certs:remove` removes it, and
/// that of the server for a base domain serves the app's name in front of it all the same.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auto {
    /// The app
    pub app: AppName,
    /// Whether they are; without it the app does as certs:auto-global says
    #[arg(value_name = "on|off", hide_possible_values = true)]
    #[serde(default)]
    pub switch: Option<OnOff>,
}

/// Whether certificates are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnOff {
    /// They are.
    On,
    /// They are not.
    Off,
}

impl OnOff {
    /// As it is typed.
    pub(super) fn word(is_on: bool) -> &'static str {
        if is_on { "on" } else { "off" }
    }
}

/// How it is now.
#[derive(Debug, Serialize)]
pub struct Switched {
    app: AppName,
    /// What is set for the app, if anything is.
    auto: Option<&'static str>,
    /// What is in force.
    computed: &'static str,
    #[serde(skip)]
    has_authority: bool,
    #[serde(skip)]
    has_certificates: bool,
}

impl Command for Auto {
    type Output = Switched;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Switched, Problem> {
        let app = authorized.app()?;
        let store = &platform.store;
        let own = self.switch.map(|switch| switch == OnOff::On);
        store.set_automatic_certificates(app.id, own).await?;
        let computed = OnOff::word(store.automatic_certificates().await?.is_on(app.id));
        dialog
            .header(match own {
                Some(_) => format!("Automatic certificates of {} are {computed}", app.name),
                None => format!(
                    "Automatic certificates of {} are {computed}, as the server says",
                    app.name
                ),
            })
            .await;
        let kept = store.certificates(app.id).await?;
        let is_ordered = |origin| origin == crate::model::CertificateOrigin::Acme;
        Ok(Switched {
            app: app.name.clone(),
            auto: own.map(OnOff::word),
            computed,
            has_authority: platform.facts.certificate_authority.is_some(),
            has_certificates: kept.iter().any(|kept| is_ordered(kept.origin)),
        })
    }
}

impl Output for Switched {
    fn print(&self, page: &mut Page) {
        let app = &self.app;
        if self.computed == "on" && !self.has_authority {
            page.detail("None are ordered yet: the server has no `acme-email`");
        }
        if self.computed == "off" && self.has_certificates {
            page.detail(format!(
                "Those that are there are shown until they expire; `certs:remove {app}` removes them"
            ));
        }
    }
}
