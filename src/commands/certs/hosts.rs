//! How each host name of an app stands with certificates.

use std::time::{Duration, SystemTime};

use mini_proxy::Certificate;
use mini_proxy::acme::{CertName, Held, NameRefused, Origin, Window, certificate_id, renew_at};

use super::{Kept, moment, usable};
use crate::commands::{CertificateAuthority, Platform};
use crate::model::{
    App, AppCertificate, CertificateOrigin, DomainName, FailedOrder, Problem, Timestamp,
};
use crate::store::OrderBook;

/// A certificate should have been renewed when less than this part of its life is left.
const LAST_PART: u32 = 6;
/// One that lives long is told of when so much is left.
const LAST_DAYS: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// A host name of an app.
pub(in crate::commands) struct Host {
    pub name: DomainName,
    pub state: State,
    /// The certificate it is served with, in a few words, if it has one.
    pub served_by: Option<String>,
    /// Until when its certificate is valid, if it has one.
    pub expires_at: Option<Timestamp>,
    /// When a certificate that mini ordered is to be renewed.
    pub renewal_at: Option<Timestamp>,
    /// How the last order for it, or for the wildcard of the server that is to serve it, failed, if it did.
    pub failed: Option<FailedOrder>,
}

/// How a host name stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum State {
    /// It has no certificate, and none is ordered.
    Without,
    /// It has no certificate, and none is ordered because that was turned off for the app.
    Off,
    /// It has no certificate, and no authority would certify it.
    Refused(NameRefused),
    /// It has no certificate, and a wildcard cannot be proved without a DNS hook.
    NeedsHook,
    /// Its first certificate is being ordered.
    Ordering,
    /// It has no certificate, for the orders fail.
    Failing,
    /// It has a certificate that is valid for a good while.
    Valid(CertificateOrigin),
    /// Its certificate should have been renewed, and was not.
    Expiring(CertificateOrigin),
    /// Its certificate is not valid any more, or not yet.
    Invalid(CertificateOrigin),
}

impl State {
    /// In a few words.
    pub(in crate::commands) fn words(self) -> String {
        match self {
            State::Without => "no certificate".to_owned(),
            State::Off => "no certificate: certs:auto is off".to_owned(),
            State::Refused(why) => format!("no certificate can be ordered: {why}"),
            State::NeedsHook => {
                "no certificate can be ordered: a wildcard needs the setting acme-dns-hook"
                    .to_owned()
            }
            State::Ordering => "its certificate is being ordered".to_owned(),
            State::Failing => "no certificate, orders fail".to_owned(),
            State::Valid(origin) => format!("valid ({origin})"),
            State::Expiring(origin) => format!("expires soon ({origin})"),
            State::Invalid(origin) => format!("not valid now ({origin})"),
        }
    }
}

/// The host names of an app, the one to show first.
pub(in crate::commands) async fn hosts(
    platform: &Platform,
    app: &App,
    book: &OrderBook,
) -> Result<Vec<Host>, Problem> {
    let kept = usable(platform, app).await?;
    let hosts = platform.reconciler.visited_names(&book.desired, app);
    let authority = platform.facts.certificate_authority.as_ref();
    let bases = platform.facts.base_domains.iter();
    let bases = bases.chain(&book.desired.global_domains);
    let standing = Standing {
        kept: &kept,
        authority,
        is_on: book.desired.automatic.is_on(app.id),
        // With a hook, these are served by a wildcard of the server.
        shared: bases
            .filter(|_| authority.is_some_and(|authority| authority.has_wildcards))
            .map(|base| format!("*.{base}"))
            .collect(),
        book,
        now: SystemTime::now(),
    };
    let each = hosts.into_iter().map(|name| standing.of(name));
    Ok(each.collect())
}

/// What decides how the names of an app stand.
struct Standing<'a> {
    kept: &'a [Kept],
    authority: Option<&'a CertificateAuthority>,
    is_on: bool,
    shared: Vec<String>,
    book: &'a OrderBook,
    now: SystemTime,
}

impl Standing<'_> {
    fn of(&self, name: DomainName) -> Host {
        let readable = self
            .kept
            .iter()
            .filter_map(|kept| Some((&kept.row, kept.read.as_deref().ok()?)));
        let shown = readable
            .into_iter()
            .find(|(_, certificate)| certificate.covers(name.as_str()));
        let above = name.as_str().split_once('.');
        let above = above.map(|(_, above)| format!("*.{above}"));
        let above = above.filter(|above| self.shared.contains(above));
        let failed =
            self.book.failed.iter().find(|failed| {
                failed.name == name.as_str() || above.as_ref() == Some(&failed.name)
            });
        let failed = failed.filter(|_| self.authority.is_some() && self.is_on);
        let state = match shown {
            Some((row, certificate)) => validity(row.origin, certificate, self.now),
            None => match absence(&name, self.authority, failed.is_some()) {
                State::Ordering | State::Failing if !self.is_on => State::Off,
                state => state,
            },
        };
        Host {
            name,
            state,
            served_by: shown.map(|(row, certificate)| served_by(row, certificate)),
            expires_at: shown.map(|(_, certificate)| moment(certificate.not_after())),
            renewal_at: shown
                .filter(|(row, _)| self.authority.is_some() && (self.is_on || row.app.is_none()))
                .and_then(|(row, certificate)| renewal(row.origin, certificate, self.book)),
            failed: failed.cloned(),
        }
    }
}

/// A certificate by the first of its names, and whose it is.
fn served_by(row: &AppCertificate, certificate: &Certificate) -> String {
    let whose = match row.app {
        Some(_) => "the app's own",
        None => "the server's, for all apps",
    };
    let names = certificate.names();
    match names {
        [] => whose.to_owned(),
        [only] => format!("{only} ({whose})"),
        [first, rest @ ..] => format!("{first} and {} more ({whose})", rest.len()),
    }
}

fn validity(origin: CertificateOrigin, certificate: &Certificate, now: SystemTime) -> State {
    let (begin, end) = (certificate.not_before(), certificate.not_after());
    let life = end.duration_since(begin).unwrap_or_default();
    let soon = LAST_DAYS.min(life / LAST_PART);
    match end.duration_since(now) {
        Ok(left) if begin <= now && left >= soon => State::Valid(origin),
        Ok(left) if begin <= now && !left.is_zero() => State::Expiring(origin),
        Ok(_) | Err(_) => State::Invalid(origin),
    }
}

fn absence(name: &DomainName, authority: Option<&CertificateAuthority>, fails: bool) -> State {
    let Some(authority) = authority else {
        return State::Without;
    };
    match name.as_str().parse::<CertName>() {
        Err(why) => State::Refused(why),
        Ok(name) if name.is_wildcard() && !authority.has_wildcards => State::NeedsHook,
        Ok(_) if fails => State::Failing,
        Ok(_) => State::Ordering,
    }
}

/// When a certificate of an authority is to be renewed, by the same rule as it will be.
fn renewal(
    origin: CertificateOrigin,
    certificate: &Certificate,
    book: &OrderBook,
) -> Option<Timestamp> {
    if origin != CertificateOrigin::Acme {
        return None;
    }
    let id = certificate_id(certificate);
    let advice = id.as_ref().and_then(|id| book.advice.get(id));
    let advice = advice.map(|advice| mini_proxy::acme::Advice {
        window: advice.window.map(|(start, end)| Window {
            start: start.into(),
            end: end.into(),
        }),
        ask_again: advice.ask_again.into(),
    });
    let names = certificate.names().iter();
    let held = Held {
        names: names.filter_map(|name| name.parse().ok()).collect(),
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
        origin: Origin::Ordered { id, advice },
    };
    renew_at(&held).map(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn a_certificate_that_should_have_been_renewed_is_told_of() {
        let made = Certificate::self_signed(&["a.test"], SystemTime::now(), DAY * 90).unwrap();
        let origin = CertificateOrigin::Acme;
        let check = |days: u32, expected: State| {
            let now = made.certificate.not_before() + DAY * days;
            assert_eq!(validity(origin, &made.certificate, now), expected, "{days}");
        };
        check(0, State::Valid(origin));
        check(74, State::Valid(origin));
        check(77, State::Expiring(origin));
        check(91, State::Invalid(origin));
        let early = made.certificate.not_before() - DAY;
        assert_eq!(
            validity(origin, &made.certificate, early),
            State::Invalid(origin)
        );
    }

    #[test]
    fn a_name_without_a_certificate_says_why() {
        let authority = CertificateAuthority {
            directory: "https://ca.test/dir".to_owned(),
            has_wildcards: false,
        };
        let check = |name: &str, fails: bool, expected: State| {
            let name = name.parse().unwrap();
            assert_eq!(absence(&name, Some(&authority), fails), expected);
        };
        check("shop.test", false, State::Ordering);
        check("shop.test", true, State::Failing);
        check("shop.localhost", false, State::Refused(NameRefused::Local));
        let name = "shop.test".parse().unwrap();
        assert_eq!(absence(&name, None, true), State::Without);
    }
}
