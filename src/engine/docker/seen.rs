//! What is remembered of containers between two looks, because lists of containers do not tell it or tell it late.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};

use crate::engine::{Process, ProcessState};
use crate::model::Timestamp;

/// Notes on containers by their id.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<Notes>);

#[derive(Debug, Default)]
struct Notes {
    /// When running ones were started.
    starts: HashMap<String, Timestamp>,
    /// Ended, as we know from an event or from a stop of ours. Docker 20.10 answers lists from a copy that it brings up
    /// to date only after it has sent `die` and cleaned up, so a list asked for at once still has them running.
    ended: HashSet<String>,
}

impl Seen {
    /// A process was looked at closely. What was seen before its end is not kept.
    pub(super) fn looked(&self, process: &Process) {
        let mut notes = self.notes();
        if let (ProcessState::Running, Some(at)) = (&process.state, process.started_at)
            && !notes.ended.contains(&process.id.0)
        {
            notes.starts.insert(process.id.0.clone(), at);
        }
    }

    /// A container was started.
    pub(super) fn started(&self, id: &str) {
        self.notes().ended.remove(id);
    }

    /// A container is about to be started again.
    pub(super) fn forget(&self, id: &str) {
        let mut notes = self.notes();
        notes.starts.remove(id);
        notes.ended.remove(id);
    }

    /// A container has ended, whatever the next list says.
    pub(super) fn ended(&self, id: &str) {
        let mut notes = self.notes();
        notes.starts.remove(id);
        notes.ended.insert(id.to_owned());
    }

    /// The start of each container that runs without doubt. Drops what is noted of others in the same list.
    pub(super) fn running(&self, list: &[ContainerSummary]) -> HashMap<String, Timestamp> {
        let running: HashSet<&str> = list
            .iter()
            .filter(|summary| summary.state == Some(ContainerSummaryStateEnum::RUNNING))
            .filter_map(|summary| summary.id.as_deref())
            .collect();
        let mut notes = self.notes();
        notes.starts.retain(|id, _| running.contains(id.as_str()));
        notes.ended.retain(|id| running.contains(id.as_str()));
        notes.starts.clone()
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ProcessId;
    use crate::model::{ProcessType, ReleaseVersion};

    #[test]
    fn a_list_that_is_behind_is_not_believed() {
        let process = Process {
            id: ProcessId("a".into()),
            app: "shop".parse().unwrap(),
            release: ReleaseVersion(1),
            process_type: ProcessType::web(),
            index: 1,
            state: ProcessState::Running,
            address: None,
            started_at: Some(Timestamp::now()),
        };
        let list = [ContainerSummary {
            id: Some("a".into()),
            state: Some(ContainerSummaryStateEnum::RUNNING),
            ..ContainerSummary::default()
        }];
        let seen = Seen::default();
        seen.looked(&process);
        assert_eq!(seen.running(&list).len(), 1);
        seen.ended("a");
        // A look that was under way when it ended.
        seen.looked(&process);
        assert_eq!(seen.running(&list).len(), 0);
        seen.started("a");
        assert_eq!(
            seen.running(&list).len(),
            0,
            "its start has to be asked for"
        );
        seen.looked(&process);
        assert_eq!(seen.running(&list).len(), 1);
    }
}
