//! What has to be remembered between two looks: crashes, refusals, and since when a process gets no requests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::plan::{Crash, ProcessKey, Refusal, jiff_duration};
use crate::engine::{Process, ProcessId, ProcessState};
use crate::model::{AppName, Timestamp};

/// A process that ran this long before it ended is taken to have run well: its count begins anew.
const RAN_WELL: Duration = Duration::from_secs(300);
/// The longest wait before a process is started again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Memory of the loop; lost with the process, which costs nothing but a fresh count.
#[derive(Debug, Default)]
pub(super) struct History {
    ends: BTreeMap<ProcessId, (Timestamp, Crash)>,
    refusals: BTreeMap<ProcessKey, Refusal>,
    unrouted_since: BTreeMap<ProcessId, Timestamp>,
}

impl History {
    /// Takes note of how the processes stand now. An end that was asked for, so that the process is started anew, is no crash,
    /// and with it the count begins anew.
    pub(super) fn note(
        &mut self,
        processes: &[Process],
        routed: &BTreeSet<ProcessId>,
        is_asked: impl Fn(&Process) -> bool,
        now: Timestamp,
    ) {
        let present: BTreeSet<&ProcessId> = processes.iter().map(|process| &process.id).collect();
        self.ends.retain(|id, _| present.contains(id));
        self.unrouted_since
            .retain(|id, _| present.contains(id) && !routed.contains(id));
        self.keep_up_with(now);
        for process in processes {
            if !routed.contains(&process.id) {
                self.unrouted_since.entry(process.id.clone()).or_insert(now);
            }
            let ProcessState::Exited { at, .. } = &process.state else {
                continue;
            };
            if is_asked(process) {
                self.ends.remove(&process.id);
                continue;
            }
            let ended_at = at.unwrap_or(now);
            let before = self.ends.get(&process.id);
            if before.is_some_and(|(noted_at, _)| at.is_none() || *noted_at == ended_at) {
                continue;
            }
            let ran = process
                .started_at
                .map(|started_at| ended_at.duration_since(started_at));
            let ran_well = ran.is_some_and(|ran| ran >= jiff_duration(RAN_WELL));
            let count = match before {
                Some((_, crash)) if !ran_well => crash.count + 1,
                Some(_) | None => 1,
            };
            let restart_at = now
                .saturating_add(jiff_duration(wait_before(count)))
                .unwrap_or(now);
            self.ends
                .insert(process.id.clone(), (ended_at, Crash { count, restart_at }));
        }
        let existing: BTreeSet<ProcessKey> = processes.iter().map(ProcessKey::of).collect();
        self.refusals.retain(|key, _| !existing.contains(key));
    }

    /// Where the clock was put back, by the hours that a machine's own clock is off until it has asked another, nothing waits
    /// for hours.
    fn keep_up_with(&mut self, now: Timestamp) {
        let latest = now.saturating_add(jiff_duration(LONGEST_WAIT));
        let latest = latest.unwrap_or(now);
        for (_, crash) in self.ends.values_mut() {
            crash.restart_at = crash.restart_at.min(latest);
        }
        for refusal in self.refusals.values_mut() {
            refusal.retry_at = refusal.retry_at.min(latest);
        }
        for since in self.unrouted_since.values_mut() {
            *since = (*since).min(now);
        }
    }

    /// Takes note of a start that the engine refused.
    pub(super) fn refuse(&mut self, key: ProcessKey, why: String, now: Timestamp) {
        let count = self
            .refusals
            .get(&key)
            .map_or(1, |refusal| refusal.count + 1);
        let wait = wait_before(count + 1);
        let retry_at = now.saturating_add(jiff_duration(wait)).unwrap_or(now);
        self.refusals.insert(
            key,
            Refusal {
                count,
                retry_at,
                why,
            },
        );
    }

    /// Forgets a refusal: the start went well.
    pub(super) fn accept(&mut self, key: &ProcessKey) {
        self.refusals.remove(key);
    }

    /// Forgets how often processes of these apps have ended: they are started again at once.
    pub(super) fn forgive(&mut self, processes: &[Process], apps: &[AppName]) {
        let own = processes
            .iter()
            .filter(|process| apps.contains(&process.app));
        self.ends
            .retain(|id, _| !own.clone().any(|process| process.id == *id));
    }

    /// Forgets the refusals of keys nobody wants any more.
    pub(super) fn keep_refusals(&mut self, is_wanted: impl Fn(&ProcessKey) -> bool) {
        self.refusals.retain(|key, _| is_wanted(key));
    }

    /// All crashes known.
    pub(super) fn crashes(&self) -> BTreeMap<ProcessId, Crash> {
        self.ends
            .iter()
            .map(|(id, (_, crash))| (id.clone(), crash.clone()))
            .collect()
    }

    /// All refusals known.
    pub(super) fn refusals(&self) -> BTreeMap<ProcessKey, Refusal> {
        self.refusals.clone()
    }

    /// Since when processes get no requests.
    pub(super) fn unrouted_since(&self) -> BTreeMap<ProcessId, Timestamp> {
        self.unrouted_since.clone()
    }
}

/// The wait before the start that follows the `count`th end: none, then 1 s, doubling to a minute.
pub(super) fn wait_before(count: u32) -> Duration {
    match count {
        0 | 1 => Duration::ZERO,
        _ => {
            let doublings = (count - 2).min(6);
            LONGEST_WAIT.min(Duration::from_secs(1 << doublings))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ProcessType, ReleaseVersion};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn ended(started: i64, ended: i64) -> Process {
        Process {
            id: ProcessId("a".to_owned()),
            app: "shop".parse().unwrap(),
            release: ReleaseVersion(1),
            process_type: ProcessType::web(),
            index: 1,
            state: ProcessState::Exited {
                code: 1,
                is_out_of_memory: false,
                at: Some(at(ended)),
            },
            address: None,
            started_at: Some(at(started)),
        }
    }

    /// Restarts by command, each soon after the one before, were counted until the process was given up.
    #[test]
    fn an_end_that_was_asked_for_is_no_crash() {
        let mut history = History::default();
        let mut end = |second: i64, is_asked: bool| {
            let process = ended(second - 1, second);
            history.note(&[process], &BTreeSet::new(), |_| is_asked, at(second));
            history
                .crashes()
                .get(&ProcessId("a".to_owned()))
                .map(|crash| crash.count)
        };
        assert_eq!(end(1, false), Some(1));
        assert_eq!(end(2, false), Some(2));
        for second in 3..10 {
            assert_eq!(end(second, true), None);
        }
        assert_eq!(end(10, false), Some(1));
    }

    /// An app that had crashed just before was down for as long as the clock had been ahead.
    #[test]
    fn nothing_waits_for_a_clock_that_was_put_back() {
        let other = ProcessKey {
            index: 2,
            ..ProcessKey::of(&ended(0, 0))
        };
        let mut history = History::default();
        for second in 1..20 {
            let process = ended(second - 1, second);
            history.note(&[process], &BTreeSet::new(), |_| false, at(second));
        }
        history.refuse(other.clone(), "no".to_owned(), at(20));
        history.note(&[ended(18, 19)], &BTreeSet::new(), |_| false, at(-7200));
        let latest = at(-7200 + 60);
        let id = ProcessId("a".to_owned());
        assert_eq!(history.crashes()[&id].count, 19);
        assert_eq!(history.crashes()[&id].restart_at, latest);
        assert_eq!(history.refusals()[&other].retry_at, latest);
        assert_eq!(history.unrouted_since()[&id], at(-7200));
    }
}
