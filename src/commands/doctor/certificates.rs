//! Certificates that will be missed.

use super::{Finding, Status};
use crate::commands::certs::{Host, State, hosts};
use crate::commands::{Authorized, Platform};
use crate::model::{CertificateOrigin, Problem};

/// Each host name whose certificate fails or ends soon; in one line those that are well.
pub(super) async fn all(
    platform: &Platform,
    authorized: &Authorized,
) -> Result<Vec<Finding>, Problem> {
    let book = platform.store.order_book().await?;
    let mut findings = Vec::new();
    let mut well: Vec<Host> = Vec::new();
    for app in authorized.visible_apps(platform).await? {
        for host in hosts(platform, &app, &book).await? {
            match finding(&host) {
                Some(finding) => findings.push(finding),
                None if host.expires_at.is_some() => well.push(host),
                None => {}
            }
        }
    }
    if let Some(first) = well.iter().min_by_key(|host| host.expires_at) {
        let until = first.expires_at.unwrap_or_default();
        let found = match well.len() {
            1 => format!("{} until {until}", first.name),
            count => format!(
                "{count} names, the first to end is {} at {until}",
                first.name
            ),
        };
        findings.insert(0, Finding::ok("certificates", found));
    }
    Ok(findings)
}

/// What is wrong with a host name, if anything is.
fn finding(host: &Host) -> Option<Finding> {
    let check = format!("certificate {}", host.name);
    let reason = host.failed.as_ref().map(|failed| failed.reason.as_str());
    let until = host.expires_at.unwrap_or_default();
    let (status, found) = match (host.state, reason) {
        (State::Failing, Some(reason)) => (Status::Failed, format!("none: {reason}")),
        (State::Invalid(_), Some(reason)) => (Status::Failed, format!("not valid now: {reason}")),
        (State::Invalid(_), None) => (Status::Failed, format!("valid until {until}, not now")),
        (State::Expiring(_), Some(reason)) => {
            (Status::Failed, format!("ends at {until}: {reason}"))
        }
        // Only an authority's is renewed by itself.
        (State::Expiring(CertificateOrigin::Acme), None) => {
            (Status::Warning, format!("ends at {until}"))
        }
        (State::Expiring(_), None) => (Status::Failed, format!("ends at {until}")),
        (State::Valid(_), Some(reason)) => {
            (Status::Warning, format!("valid until {until}: {reason}"))
        }
        (State::NeedsHook, _) => (Status::Warning, host.state.words()),
        (State::Valid(_), None)
        | (State::Failing, None)
        | (State::Without | State::Off | State::Refused(_) | State::Ordering, _) => return None,
    };
    Some(Finding::new(check, status, found, remedy(host)))
}

fn remedy(host: &Host) -> String {
    match (host.state, &host.failed) {
        (_, Some(failed)) => format!("it is tried again at {:.0}", failed.next_try),
        (
            State::Expiring(CertificateOrigin::Custom) | State::Invalid(CertificateOrigin::Custom),
            None,
        ) => "bring a newer one: `certs:update`".to_owned(),
        (
            State::Expiring(CertificateOrigin::SelfSigned)
            | State::Invalid(CertificateOrigin::SelfSigned),
            None,
        ) => "make a newer one: `certs:generate`".to_owned(),
        (State::NeedsHook, None) => "set `acme-dns-hook`".to_owned(),
        (_, None) => "`certs:report` says more".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FailedOrder, Timestamp};

    fn check(state: State, reason: Option<&str>, expected: Option<(Status, &str)>) {
        let host = Host {
            name: "shop.test".parse().unwrap(),
            state,
            served_by: None,
            expires_at: Some(Timestamp::UNIX_EPOCH),
            renewal_at: None,
            failed: reason.map(|reason| FailedOrder {
                name: "shop.test".to_owned(),
                failures: 2,
                reason: reason.to_owned(),
                failed_at: Timestamp::UNIX_EPOCH,
                next_try: Timestamp::UNIX_EPOCH,
            }),
        };
        let found = finding(&host);
        let found = found
            .as_ref()
            .map(|found| (found.status, found.found.as_str()));
        assert_eq!(found, expected, "{state:?}");
    }

    #[test]
    fn what_will_be_missed_is_told_the_louder_the_nearer_it_is() {
        let acme = CertificateOrigin::Acme;
        check(State::Valid(acme), None, None);
        check(
            State::Valid(acme),
            Some("no"),
            Some((Status::Warning, "valid until 1970-01-01T00:00:00Z: no")),
        );
        check(
            State::Expiring(CertificateOrigin::Custom),
            None,
            Some((Status::Failed, "ends at 1970-01-01T00:00:00Z")),
        );
        check(
            State::Expiring(acme),
            None,
            Some((Status::Warning, "ends at 1970-01-01T00:00:00Z")),
        );
        check(
            State::Expiring(acme),
            Some("no"),
            Some((Status::Failed, "ends at 1970-01-01T00:00:00Z: no")),
        );
        check(
            State::Failing,
            Some("no"),
            Some((Status::Failed, "none: no")),
        );
        check(State::Ordering, None, None);
        check(State::Without, None, None);
    }
}
