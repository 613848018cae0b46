//! `certs:report`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::auto::OnOff;
use super::{hosts, moment, usable};
use crate::commands::report::{self, Asked, Reports};
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{App, AppName, DomainName, Permission, Problem, Timestamp};
use crate::store::OrderBook;

/// Dokku's word in the heading.
const TOPIC: &str = "ssl";

/// Report the certificate of an app, or of all apps
///
/// Where an app has several, it is the one that is preferred: one that was added before one of an authority before one
/// that was generated, then the one that expires last. One of the server for all apps below a base domain counts where it
/// covers a name of the app. Below it is how each host name stands: with which certificate it is served, until when, when
/// that is renewed, and why the last order failed and when the next try is, if it did.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The app; all of them when it is not given
    pub app: Option<AppName>,
    /// One key of the report, such as --ssl-expires-at, to see its value only
    #[arg(allow_hyphen_values = true, value_name = "--KEY")]
    pub flag: Option<String>,
}

impl Command for Report {
    type Output = Reports;

    fn permission(&self) -> Permission {
        Permission::to_read(self.app.as_ref())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Reports, Problem> {
        let book = platform.store.order_book().await?;
        let asked = Asked::by(self.app.as_ref(), platform, authorized, dialog).await?;
        let of = |app| {
            let book = &book;
            async move { of(platform, &app, book).await }
        };
        Reports::about(TOPIC, asked, self.flag.as_deref(), of).await
    }
}

async fn of(platform: &Platform, app: &App, book: &OrderBook) -> Result<report::Report, Problem> {
    let names = platform.reconciler.visited_names(&book.desired, app);
    let mut kept = usable(platform, app).await?;
    kept.retain(|kept| {
        let covers =
            |read: &mini_proxy::Certificate| names.iter().any(|name| read.covers(name.as_str()));
        kept.row.app.is_some() || kept.read.as_deref().is_ok_and(covers)
    });
    let exposure = platform.store.exposure(app.id).await?;
    let served: Vec<DomainName> = platform
        .reconciler
        .host_names(&app.name, &exposure)
        .into_iter()
        .filter(|host| platform.reconciler.has_https(host))
        .collect();
    let served: Vec<&str> = served.iter().map(DomainName::as_str).collect();

    let first = kept.first();
    let read = first.and_then(|kept| kept.read.as_deref().ok());
    let error = first.and_then(|kept| kept.read.as_deref().err());
    let fact = |value: Option<String>| value.unwrap_or_default();
    let mut report = report::Report::new(&app.name);
    report.fact("ssl-enabled", first.is_some());
    report.fact(
        "ssl-origin",
        fact(first.map(|kept| kept.row.origin.to_string())),
    );
    report.fact("ssl-error", fact(error.cloned()));
    report.fact("ssl-served-hostnames", served.join(" "));
    report.fact(
        "ssl-hostnames",
        fact(read.map(|read| read.names().join(" "))),
    );
    report.fact(
        "ssl-subject",
        fact(read.map(|read| read.subject().to_owned())),
    );
    report.fact(
        "ssl-issuer",
        fact(read.map(|read| read.issuer().to_owned())),
    );
    report.fact(
        "ssl-self-signed",
        fact(read.map(|read| read.is_self_signed().to_string())),
    );
    report.fact(
        "ssl-starts-at",
        fact(read.map(|read| moment(read.not_before()).to_string())),
    );
    report.fact(
        "ssl-expires-at",
        fact(read.map(|read| moment(read.not_after()).to_string())),
    );
    let authority = platform.facts.certificate_authority.as_ref();
    let automatic = &book.desired.automatic;
    let is_on = automatic.is_on(app.id);
    let directory = authority.filter(|_| is_on);
    let directory = directory.map_or("off", |authority| authority.directory.as_str());
    report.fact("ssl-automatic", directory);
    let own = automatic.apps.get(&app.id).copied();
    report.fact("ssl-auto", own.map_or("", OnOff::word));
    report.fact("ssl-computed-auto", OnOff::word(is_on));
    report.fact("ssl-global-auto", OnOff::word(automatic.is_default_on));
    for host in hosts(platform, app, book).await? {
        let name = &host.name;
        let mut about = |what: &str, value: Option<String>| {
            if let Some(value) = value {
                let key = format!("ssl-hostname-{name}-{}", what.replace(' ', "-"));
                report.titled(&key, &format!("{name} {what}"), value);
            }
        };
        let text = |at: Option<Timestamp>| at.map(|at| format!("{at:.0}"));
        about("state", Some(host.state.words()));
        about("served by", host.served_by.clone());
        about("expires at", text(host.expires_at));
        about("renewal at", text(host.renewal_at));
        let failed = host.failed.as_ref();
        about("failures", failed.map(|failed| failed.failures.to_string()));
        about("last error", failed.map(|failed| failed.reason.clone()));
        about("next try", text(failed.map(|failed| failed.next_try)));
    }
    Ok(report)
}
