//! What runs: Docker's answers as processes.

use std::collections::HashMap;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary,
    ContainerSummaryStateEnum, EndpointSettings,
};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::Inner;
use super::errors::{About, is_not_found};
use super::labels::{self, Kind, ProcessLabels};
use crate::engine::{EngineError, Process, ProcessId, ProcessState};
use crate::model::{AppName, Timestamp};

/// How many containers are looked at closely at a time.
const LOOKS_AT_ONCE: usize = 8;

impl Inner {
    /// One list call, and a closer look only at what the list says too little of: processes that ended (for the exit
    /// status) and running ones whose start we have not seen (for its time) or whose end we have.
    pub(super) async fn observe(&self) -> Result<Vec<Process>, EngineError> {
        let docker = self.connection.client().await?;
        let filters = labels::filter(&[
            (labels::INSTANCE, &self.instance),
            (labels::KIND, Kind::Process.as_str()),
        ]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let list = docker
            .list_containers(Some(options))
            .await
            .map_err(|error| self.connection.error(error, About::Call))?;
        let starts = self.seen.running(&list);
        let looks: Vec<_> = list
            .into_iter()
            .map(|summary| {
                let (docker, starts) = (&docker, &starts);
                async move {
                    let id = summary.id.clone().unwrap_or_default();
                    let started_at = starts.get(&id).copied();
                    let broken = broken(&self.instance, &summary);
                    if let Some(process) = from_summary(&self.instance, summary, started_at) {
                        return Ok(Some(process));
                    }
                    match docker
                        .inspect_container(&id, None::<InspectContainerOptions>)
                        .await
                    {
                        Ok(facts) => {
                            let process = from_inspect(&self.instance, facts);
                            if let Some(process) = &process {
                                self.seen.looked(process);
                            }
                            Ok(process)
                        }
                        Err(error) if is_not_found(&error) => Ok(None),
                        Err(error) => {
                            let error = self.connection.error(error, About::Container(&id));
                            match (broken, &error) {
                                (Some(broken), EngineError::Refused { said }) => {
                                    tracing::warn!(id, said, "Docker cannot look at a container that has ended; it is removed");
                                    Ok(Some(broken))
                                }
                                _ => Err(error),
                            }
                        }
                    }
                }
            })
            .collect();
        stream::iter(looks)
            .buffered(LOOKS_AT_ONCE)
            .try_filter_map(|process| async move { Ok(process) })
            .try_collect()
            .await
    }
}

/// What is left of a process that has ended, for where Docker refuses a closer look at it. After a loss of power 20.10 does so
/// for good with containers that lost their file system ("RWLayer of container ... is unexpectedly nil"), and one of them must
/// not keep us from looking at all others. None where it may run.
fn broken(instance: &str, summary: &ContainerSummary) -> Option<Process> {
    let has_ended = summary.state == Some(ContainerSummaryStateEnum::EXITED);
    let labels = ProcessLabels::read(summary.labels.as_ref().filter(|_| has_ended)?)?;
    let id = summary.id.clone()?;
    Some(process(
        instance,
        labels,
        id,
        ProcessState::Dead,
        None,
        None,
    ))
}

/// A process from a line of a list; none where the list does not tell enough.
fn from_summary(
    instance: &str,
    summary: ContainerSummary,
    started_at: Option<Timestamp>,
) -> Option<Process> {
    let state = match summary.state? {
        ContainerSummaryStateEnum::CREATED => ProcessState::Created,
        ContainerSummaryStateEnum::RUNNING => {
            started_at?;
            ProcessState::Running
        }
        ContainerSummaryStateEnum::REMOVING | ContainerSummaryStateEnum::DEAD => ProcessState::Dead,
        ContainerSummaryStateEnum::EMPTY
        | ContainerSummaryStateEnum::PAUSED
        | ContainerSummaryStateEnum::RESTARTING
        | ContainerSummaryStateEnum::STOPPING
        | ContainerSummaryStateEnum::EXITED => return None,
    };
    let labels = ProcessLabels::read(&summary.labels?)?;
    let networks = summary.network_settings.and_then(|s| s.networks);
    Some(process(
        instance,
        labels,
        summary.id?,
        state,
        networks.as_ref(),
        started_at,
    ))
}

/// A process from an inspection; none when it does not carry our labels.
pub(super) fn from_inspect(instance: &str, facts: ContainerInspectResponse) -> Option<Process> {
    let labels = ProcessLabels::read(&facts.config?.labels?)?;
    let state = facts.state?;
    let at = |text: Option<String>| text.as_deref().and_then(moment);
    let started_at = at(state.started_at);
    let process_state = match state.status? {
        ContainerStateStatusEnum::CREATED => ProcessState::Created,
        // A paused process is alive; that it does not answer is for its check to find. A stopping one still runs.
        ContainerStateStatusEnum::RUNNING
        | ContainerStateStatusEnum::PAUSED
        | ContainerStateStatusEnum::STOPPING => ProcessState::Running,
        ContainerStateStatusEnum::EXITED => ProcessState::Exited {
            code: state.exit_code.unwrap_or(-1),
            is_out_of_memory: state.oom_killed.unwrap_or(false),
            at: at(state.finished_at),
        },
        ContainerStateStatusEnum::EMPTY
        | ContainerStateStatusEnum::RESTARTING
        | ContainerStateStatusEnum::REMOVING
        | ContainerStateStatusEnum::DEAD => ProcessState::Dead,
    };
    let networks = facts.network_settings.and_then(|s| s.networks);
    Some(process(
        instance,
        labels,
        facts.id?,
        process_state,
        networks.as_ref(),
        started_at,
    ))
}

fn process(
    instance: &str,
    labels: ProcessLabels,
    id: String,
    state: ProcessState,
    networks: Option<&HashMap<String, EndpointSettings>>,
    started_at: Option<Timestamp>,
) -> Process {
    let address = networks
        .filter(|_| state == ProcessState::Running)
        .and_then(|networks| networks.get(&network_of(instance, &labels.app)))
        .and_then(|endpoint| endpoint.ip_address.as_deref())
        .and_then(|address| address.parse().ok());
    Process {
        id: ProcessId(id),
        app: labels.app,
        release: labels.release,
        process_type: labels.process_type,
        index: labels.index,
        state,
        address,
        started_at,
    }
}

fn network_of(instance: &str, app: &AppName) -> String {
    labels::network_name(instance, app)
}

/// A moment as Docker writes it; its zero time (year 1) stands for never.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>()
        .ok()
        .filter(|at| at.as_second() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ProcessType, ReleaseVersion};

    #[test]
    fn only_what_has_ended_and_is_ours_is_taken_for_broken() {
        let labels = ProcessLabels {
            app: "shop".parse().unwrap(),
            release: ReleaseVersion(7),
            process_type: ProcessType::web(),
            index: 2,
        };
        let summary = |state, labels: HashMap<String, String>| ContainerSummary {
            id: Some("a".to_owned()),
            state: Some(state),
            labels: Some(labels),
            ..ContainerSummary::default()
        };
        use ContainerSummaryStateEnum::{EXITED, PAUSED, RUNNING};
        let found = broken("i1", &summary(EXITED, labels.write("i1"))).unwrap();
        assert_eq!((found.state, found.index), (ProcessState::Dead, 2));
        for state in [RUNNING, PAUSED] {
            assert_eq!(broken("i1", &summary(state, labels.write("i1"))), None);
        }
        assert_eq!(broken("i1", &summary(EXITED, HashMap::new())), None);
    }

    #[test]
    fn dockers_zero_time_is_never() {
        assert_eq!(moment("0001-01-01T00:00:00Z"), None);
        assert_eq!(
            moment("2026-11-20T12:50:00.123456789Z").map(|at| at.as_millisecond()),
            Some(1_795_179_000_123)
        );
        assert_eq!(moment("soon"), None);
    }
}
