//! Which archives go when a new one is there. Pure. Only those that this server has made by its schedule are ever looked at,
//! and they are known by their names: host, id of the server, moment.

use std::collections::BTreeSet;

use super::archives::ENDING;
use crate::model::{BackupRecord, BackupSchedule, BackupStatus, Timestamp};

/// The names of the archives of one server's schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    beginning: String,
}

impl Names {
    /// Those of the server with this id on this host. After a move to another host they differ, so that two servers that
    /// were one never remove each other's.
    pub(super) fn of(host: &str, instance: &str) -> Names {
        let plain = |c: char| match c.is_ascii_alphanumeric() {
            true => c.to_ascii_lowercase(),
            false => '-',
        };
        let host: String = host.chars().take(63).map(plain).collect();
        Names {
            beginning: format!("mini-{}-{instance}-", host.trim_matches('-')),
        }
    }

    /// What they all begin with.
    pub(super) fn beginning(&self) -> &str {
        &self.beginning
    }

    /// The name of one that is begun now.
    pub(super) fn at(&self, moment: Timestamp) -> String {
        let moment = moment.strftime("%Y%m%dT%H%M%S%3fZ");
        format!("{}{moment}{ENDING}", self.beginning)
    }

    /// Whether a name is one of these.
    pub(super) fn has(&self, name: &str) -> bool {
        let moment = name
            .strip_prefix(&self.beginning)
            .and_then(|rest| rest.strip_suffix(ENDING));
        moment.is_some_and(|moment| {
            let is_right = |(at, c): (usize, char)| match at {
                8 => c == 'T',
                18 => c == 'Z',
                _ => c.is_ascii_digit(),
            };
            moment.len() == 19 && moment.char_indices().all(is_right)
        })
    }
}

/// The archives to be removed, by name: ours beyond those that are kept, and ours that failed before the last good one.
/// `listed` is what is there now, `records` come newest first. One that is there without a record counts as good: a server
/// that was restored knows nothing of those made since. Names tell their order.
pub(super) fn superfluous<'l>(
    schedule: &BackupSchedule,
    names: &Names,
    listed: impl Iterator<Item = &'l str>,
    records: &'l [BackupRecord],
) -> Vec<String> {
    let recorded = || {
        let here = records
            .iter()
            .filter(|record| record.place == schedule.place);
        here.map(|record| (record.name.as_str(), record.status))
    };
    let status = |name: &str| recorded().find(|(known, _)| *known == name);
    let all: BTreeSet<&str> = listed
        .chain(recorded().map(|(name, _)| name))
        .filter(|name| names.has(name))
        .collect();
    let keep = usize::try_from(schedule.keep.max(1)).unwrap_or(usize::MAX);
    let mut good = 0;
    let mut superfluous = Vec::new();
    for name in all.into_iter().rev() {
        match status(name).map(|(_, status)| status) {
            Some(BackupStatus::Running) => {}
            Some(BackupStatus::Failed) if good == 0 => {}
            Some(BackupStatus::Failed) => superfluous.push(name.to_owned()),
            Some(BackupStatus::Verified) | None => {
                good += 1;
                if good > keep {
                    superfluous.push(name.to_owned());
                }
            }
        }
    }
    superfluous
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;
    use BackupStatus::{Failed, Running, Verified};

    fn names() -> Names {
        Names::of("Shop.example", "ab12cd")
    }

    fn name(day: u8) -> String {
        let moment: Timestamp = format!("2026-11-{day:02}T01:02:03.004Z").parse().unwrap();
        names().at(moment)
    }

    fn record(day: u8, status: BackupStatus) -> BackupRecord {
        BackupRecord {
            name: name(day),
            place: "/b".parse().unwrap(),
            started_at: "2026-11-21T00:00:00Z".parse().unwrap(),
            finished_at: None,
            status,
            bytes: None,
            failure: None,
        }
    }

    fn schedule(keep: u32) -> BackupSchedule {
        BackupSchedule {
            storage: None,
            place: "/b".parse().unwrap(),
            every_seconds: 3600,
            at_minute: None,
            keep,
            passphrase: Secret::new("x"),
            since: "2026-11-01T00:00:00Z".parse().unwrap(),
        }
    }

    #[track_caller]
    fn check(keep: u32, listed: &[String], records: &[BackupRecord], expected: &[u8]) {
        let listed = listed.iter().map(String::as_str);
        let removed = superfluous(&schedule(keep), &names(), listed, records);
        let expected: Vec<String> = expected.iter().map(|day| name(*day)).collect();
        assert_eq!(removed, expected, "{records:?}");
    }

    #[test]
    fn only_names_of_this_server_and_its_schedule_are_known() {
        assert_eq!(name(1), "mini-shop-example-ab12cd-20261101T010203004Z.age");
        assert!(names().has(&name(1)));
        for other in [
            "",
            "mini-20261101T010203004Z.age",
            "mini-shop-example-other1-20261101T010203004Z.age",
            "mini-other-ab12cd-20261101T010203004Z.age",
            "mini-shop-example-ab12cd-20261101T010203004Z.age.part",
            "mini-shop-example-ab12cd-20261101T010203Z.age",
            "mini-shop-example-ab12cd-../../etc/passwdxyz.age",
            "mini-shop-example-ab12cd-notes.age",
        ] {
            assert!(!names().has(other), "{other}");
        }
    }

    #[test]
    fn the_newest_good_ones_stay_and_the_last_good_one_always() {
        let records = [
            record(28, Running),
            record(27, Failed),
            record(26, Verified),
            record(25, Failed),
            record(24, Verified),
            record(23, Verified),
        ];
        check(2, &[], &records, &[25, 23]);
        check(0, &[], &records[2..], &[25, 24, 23]);
        let all_failed: Vec<_> = (20..25).rev().map(|day| record(day, Failed)).collect();
        check(1, &[], &all_failed, &[]);
    }

    #[test]
    fn what_is_there_without_a_record_is_counted_and_what_is_not_ours_is_not() {
        let mut listed: Vec<String> = [20, 21, 22, 26].map(name).to_vec();
        listed.push("mini-20261101T010203004Z.age".to_owned());
        listed.push("mini-other-ab12cd-20261101T010203004Z.age".to_owned());
        check(2, &listed, &[record(26, Verified)], &[21, 20]);
        let mut elsewhere = record(25, Verified);
        elsewhere.place = "s3://bucket".parse().unwrap();
        check(2, &[], &[record(26, Verified), elsewhere], &[]);
    }
}
