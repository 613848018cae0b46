//! Backups that the server makes by itself: when, where, how many are kept, and how it stands with them. Pure.

use serde::{Deserialize, Serialize};

use super::deploy::text_enum;
use super::{AppName, BackupPlace, Secret, Timestamp};

/// A first failure is tried again after this, seconds.
const RETRY_SECONDS: i64 = 15 * 60;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// When and where the server backs itself up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSchedule {
    /// Where the archives go.
    #[serde(alias = "folder")]
    pub place: BackupPlace,
    /// From one to the next, seconds.
    pub every_seconds: u32,
    /// A minute of the day (UTC) that one of them falls on; without it they count from the last.
    pub at_minute: Option<u16>,
    /// How many good ones are kept.
    pub keep: u32,
    /// Whether they have what apps keep in the storage: that of these apps, or of all where none is named.
    #[serde(default)]
    pub storage: Option<Vec<AppName>>,
    /// What they are encrypted with.
    pub passphrase: Secret,
    /// Since when it is so.
    pub since: Timestamp,
}

text_enum!(
    /// How a backup stands.
    BackupStatus, "backup status" {
        /// Being made, or checked.
        Running = "running",
        /// It was read whole after it was made.
        Verified = "verified",
        /// It could not be made, or not be read again.
        Failed = "failed",
    }
);

/// One backup of the schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRecord {
    /// The name of its file.
    pub name: String,
    /// Where it is.
    pub place: BackupPlace,
    /// When it was begun.
    pub started_at: Timestamp,
    /// When it was done.
    pub finished_at: Option<Timestamp>,
    /// How it stands.
    pub status: BackupStatus,
    /// Its length.
    pub bytes: Option<u64>,
    /// Why it failed.
    pub failure: Option<String>,
}

/// How it stands with the backups of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "standing")]
pub enum BackupStanding {
    /// None are made.
    Unscheduled,
    /// The first is not due yet, or on its way.
    First,
    /// The last one is good.
    Good {
        /// When it was begun.
        at: Timestamp,
    },
    /// The last one failed.
    Failed {
        /// Why.
        why: String,
        /// The last good one.
        last_good: Option<Timestamp>,
    },
    /// No good one was made for more than two rounds.
    Overdue {
        /// The last good one.
        last_good: Option<Timestamp>,
    },
}

impl BackupSchedule {
    /// Whether it says the same, since whenever.
    pub fn is_same_as(&self, other: &BackupSchedule) -> bool {
        let mut other = other.clone();
        other.since = self.since;
        *self == other
    }

    /// When the next backup is due; in the past where one was missed. `records` come newest first; those that begin after
    /// `now` are of a clock that was wrong, and keep none from being made.
    pub fn due(&self, records: &[BackupRecord], now: Timestamp) -> Timestamp {
        let every = i64::from(self.every_seconds.max(1));
        let since = match self.since <= now {
            true => self.since,
            false => Timestamp::UNIX_EPOCH,
        };
        let last = records.iter().find(|record| record.started_at <= now);
        let Some(last) = last.filter(|last| last.started_at >= since) else {
            return match self.at_minute {
                Some(minute) => after(since, slot_after(since, every, minute)),
                None => since,
            };
        };
        let started = last.started_at;
        if last.status == BackupStatus::Failed {
            return after(started, RETRY_SECONDS.min(every));
        }
        match self.at_minute {
            Some(minute) => after(started, slot_after(started, every, minute)),
            None => after(started, every),
        }
    }

    /// How it stands at `now`. `records` come newest first.
    pub fn standing(&self, records: &[BackupRecord], now: Timestamp) -> BackupStanding {
        let ended: Vec<&BackupRecord> = records
            .iter()
            .filter(|record| record.status != BackupStatus::Running && record.started_at <= now)
            .collect();
        let good = ended
            .iter()
            .find(|record| record.status == BackupStatus::Verified)
            .map(|record| record.started_at);
        if let Some(last) = ended.first()
            && last.status == BackupStatus::Failed
        {
            return BackupStanding::Failed {
                why: last.failure.clone().unwrap_or_default(),
                last_good: good,
            };
        }
        let from = good.unwrap_or(self.since).max(self.since);
        let limit = i64::from(self.every_seconds).saturating_mul(2);
        match good {
            _ if now > after(from, limit) => BackupStanding::Overdue { last_good: good },
            Some(at) => BackupStanding::Good { at },
            None => BackupStanding::First,
        }
    }
}

/// Seconds from `moment` to the next slot strictly after it; slots are `every` seconds apart, one of them at that minute of
/// the day.
fn slot_after(moment: Timestamp, every: i64, at_minute: u16) -> i64 {
    let anchor = i64::from(at_minute) * 60;
    // A day that is no multiple of the rounds would shift the minute: then the days themselves are counted.
    let every = if DAY_SECONDS % every == 0 || every % DAY_SECONDS == 0 {
        every
    } else {
        DAY_SECONDS.min(every)
    };
    every - (moment.as_second() - anchor).rem_euclid(every)
}

fn after(moment: Timestamp, seconds: i64) -> Timestamp {
    moment
        .saturating_add(jiff::SignedDuration::from_secs(seconds))
        .unwrap_or(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn schedule(every_hours: u32, at_minute: Option<u16>) -> BackupSchedule {
        BackupSchedule {
            place: "/b".parse().unwrap(),
            every_seconds: every_hours * 3600,
            at_minute,
            keep: 2,
            storage: None,
            passphrase: Secret::new("x"),
            since: at("2026-11-21T12:00:00Z"),
        }
    }

    fn record(started_at: &str, status: BackupStatus) -> BackupRecord {
        BackupRecord {
            name: started_at.to_owned(),
            place: "/b".parse().unwrap(),
            started_at: at(started_at),
            finished_at: None,
            status,
            bytes: None,
            failure: (status == BackupStatus::Failed).then(|| "the disk is full".to_owned()),
        }
    }

    #[track_caller]
    fn check_due(schedule: &BackupSchedule, records: &[BackupRecord], expected: &str) {
        let now = at("2026-12-01T00:00:00Z");
        assert_eq!(schedule.due(records, now), at(expected), "{records:?}");
    }

    #[test]
    fn the_next_is_due_at_its_minute_or_a_round_after_the_last() {
        use BackupStatus::{Failed, Verified};
        let daily = schedule(24, Some(3 * 60));
        check_due(&daily, &[], "2026-11-22T03:00:00Z");
        let last = record("2026-11-22T03:00:05Z", Verified);
        check_due(&daily, &[last], "2026-11-23T03:00:00Z");
        let six = schedule(6, Some(3 * 60));
        check_due(&six, &[], "2026-11-21T15:00:00Z");
        let weekly = schedule(24 * 7, Some(3 * 60));
        let now = at("2026-12-01T00:00:00Z");
        assert_eq!(weekly.due(&[], now).as_second() % DAY_SECONDS, 3 * 3600);

        let plain = schedule(24, None);
        check_due(&plain, &[], "2026-11-21T12:00:00Z");
        let last = record("2026-11-21T12:00:01Z", Verified);
        check_due(&plain, &[last], "2026-11-22T12:00:01Z");
        let failed = record("2026-11-21T12:00:01Z", Failed);
        check_due(&plain, &[failed], "2026-11-21T12:15:01Z");
        // Those of an earlier schedule do not count.
        let old = record("2026-11-20T12:00:00Z", Verified);
        check_due(&plain, &[old], "2026-11-21T12:00:00Z");
    }

    /// The clock was years ahead for a while: no backup was made until then.
    #[test]
    fn what_was_made_in_the_future_keeps_none_from_being_made() {
        use BackupStatus::Verified;
        let now = at("2026-11-23T00:00:00Z");
        let ahead = record("2030-01-01T03:00:00Z", Verified);
        let last = record("2026-11-22T03:00:05Z", Verified);
        for at_minute in [None, Some(3 * 60)] {
            let mut daily = schedule(24, at_minute);
            let both = [ahead.clone(), last.clone()];
            assert_eq!(
                daily.due(&both, now),
                daily.due(std::slice::from_ref(&last), now)
            );
            assert!(daily.due(std::slice::from_ref(&ahead), now) < now);
            let standing = BackupStanding::Good {
                at: last.started_at,
            };
            assert_eq!(daily.standing(&both, now), standing);
            // So it is with a schedule that was set then.
            daily.since = at("2030-01-01T00:00:00Z");
            assert!(daily.due(&[], now) < now);
        }
    }

    #[test]
    fn what_is_failed_or_too_old_is_said() {
        use BackupStatus::{Failed, Running, Verified};
        let daily = schedule(24, None);
        let check = |records: &[BackupRecord], now: &str, expected: BackupStanding| {
            assert_eq!(daily.standing(records, at(now)), expected, "{records:?}");
        };
        check(&[], "2026-11-21T12:00:01Z", BackupStanding::First);
        check(
            &[],
            "2026-11-24T12:00:00Z",
            BackupStanding::Overdue { last_good: None },
        );
        let good = record("2026-11-21T12:00:00Z", Verified);
        let good_at = Some(good.started_at);
        check(
            &[record("2026-11-22T12:00:00Z", Running), good.clone()],
            "2026-11-22T12:00:01Z",
            BackupStanding::Good {
                at: good.started_at,
            },
        );
        let failed = [record("2026-11-22T12:00:00Z", Failed), good];
        let why = "the disk is full".to_owned();
        let expected = BackupStanding::Failed {
            why,
            last_good: good_at,
        };
        check(&failed, "2026-11-22T12:00:01Z", expected);
        check(
            &failed[1..],
            "2026-11-23T12:00:01Z",
            BackupStanding::Overdue { last_good: good_at },
        );
    }
}
