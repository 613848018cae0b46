//! Certificates that visitors are shown and that end soon.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use mini_proxy::Certificates;

use super::{Finding, Status};
use crate::model::Timestamp;

/// How long before its end a certificate is told of. Those that renew themselves do so earlier: one that gets here has
/// failed to, or is an owner's own.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// How many names are listed.
const SHOWN: usize = 5;

/// How the certificates stand; nothing where there are none.
pub(super) fn shown(certificates: &Certificates, now: SystemTime) -> Option<Finding> {
    if certificates.is_empty() {
        return None;
    }
    let ending: BTreeSet<(SystemTime, String)> = certificates
        .iter()
        .map(|(name, certificate)| (certificate.not_after(), name))
        .filter(|(until, _)| *until <= now + SOON)
        .collect();
    let Some((first, _)) = ending.first() else {
        let names = certificates.len();
        let names = if names == 1 {
            "one host name has one".to_owned()
        } else {
            format!("{names} host names have one")
        };
        return Some(Finding::ok(
            "certificates",
            format!("{names}, none ends soon"),
        ));
    };
    let status = if *first <= now {
        Status::Failed
    } else {
        Status::Warning
    };
    let mut listed: Vec<String> = ending
        .iter()
        .take(SHOWN)
        .map(|(until, name)| {
            let word = if *until <= now { "ended" } else { "ends" };
            let at = Timestamp::try_from(*until).unwrap_or(Timestamp::MAX);
            format!("that of {name} {word} at {at}")
        })
        .collect();
    if let Some(more @ 1..) = ending.len().checked_sub(SHOWN) {
        listed.push(format!("and {more} more"));
    }
    Some(Finding::new(
        "certificates",
        status,
        listed.join(", "),
        "add the next one with `certs:add`",
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mini_proxy::Certificate;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// One name for each certificate, which ends that many days after the year 2030 began.
    fn check(ends: &[(&str, u32)], after_days: u32) -> Option<(Status, String)> {
        let begin = SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_456_000);
        let mut certificates = Certificates::default();
        for (name, days) in ends {
            let made = Certificate::self_signed(&[name], begin, DAY * *days).unwrap();
            certificates.insert(name, Arc::new(made.certificate));
        }
        let finding = shown(&certificates, begin + DAY * after_days)?;
        Some((finding.status, finding.found))
    }

    #[test]
    fn what_ends_soon_is_listed_with_the_first_to_end_first() {
        assert_eq!(check(&[], 0), None);
        let two = [("a.test", 90), ("b.test", 40)];
        let found = |after| check(&two, after).unwrap();
        assert_eq!(
            found(0),
            (
                Status::Ok,
                "2 host names have one, none ends soon".to_owned()
            )
        );
        assert_eq!(
            found(30),
            (
                Status::Warning,
                "that of b.test ends at 2030-02-10T00:00:00Z".to_owned()
            )
        );
        assert_eq!(
            found(80),
            (
                Status::Failed,
                "that of b.test ended at 2030-02-10T00:00:00Z, that of a.test ends at 2030-04-01T00:00:00Z"
                    .to_owned()
            )
        );
        let many = ["a", "b", "c", "d", "e", "f", "g"].map(|name| (name, 1));
        let (_, text) = check(&many, 0).unwrap();
        assert!(text.ends_with("and 2 more"), "{text}");
    }
}
