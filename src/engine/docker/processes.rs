//! Starting, restarting, stopping and removing the processes of apps.

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{
    CreateContainerOptions, CreateContainerOptionsBuilder, InspectContainerOptions,
    RemoveContainerOptions, RemoveContainerOptionsBuilder, StartContainerOptions,
    StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;

use super::container::Container;
use super::errors::{About, is_conflict, is_network_missing, is_not_found};
use super::labels::{INSTANCE, ProcessLabels};
use super::{Inner, invocation, networks, observed};
use crate::engine::{EngineError, GroupSpec, Process, ProcessId, ProcessState};
use crate::model::AppName;

/// How long a removal that somebody else has begun may take. Docker has been seen to hang in one; whoever waits would not
/// end either, and the server with it.
const REMOVED_WITHIN: Duration = Duration::from_secs(60);

impl Inner {
    pub(super) async fn prepare(&self, app: &AppName) -> Result<(), EngineError> {
        let docker = self.connection.client().await?;
        self.networks
            .ensure(&self.connection, &docker, app)
            .await
            .map(drop)
    }

    pub(super) async fn start(
        &self,
        group: &GroupSpec,
        index: u16,
    ) -> Result<Process, EngineError> {
        let docker = self.connection.client().await?;
        let network = self
            .networks
            .ensure(&self.connection, &docker, &group.app)
            .await?;
        let command = match &group.command {
            Some(line) => {
                let entrypoint = self.entrypoint(&docker, &group.image).await?;
                Some(invocation::arguments(line, &entrypoint))
            }
            None => None,
        };
        let labels = ProcessLabels {
            app: group.app.clone(),
            release: group.release,
            process_type: group.process_type.clone(),
            index,
        };
        let request = Container {
            image: group.image.as_str(),
            command,
            environment: &group.environment,
            labels: labels.write(&self.instance),
            limits: group.limits,
            network: &network,
            alias: Some(networks::alias(&group.app, &group.process_type)),
            stop_timeout_seconds: Some(i64::from(whole_seconds(group.stop_grace))),
            attached: None,
            mounts: self.mounts(&group.mounts).await?,
            options: &group.options,
        }
        .request();
        let options = CreateContainerOptionsBuilder::default()
            .name(&labels.container_name(&self.instance))
            .build();
        let about = About::Start(group.image.as_str());

        let created = match docker
            .create_container(Some(options.clone()), request.clone())
            .await
        {
            Err(error) if is_conflict(&error) => {
                if let Some(process) = self.running_or_removed(&docker, &options).await? {
                    return Ok(process);
                }
                docker.create_container(Some(options), request).await
            }
            other => other,
        };
        let id = created
            .map_err(|error| self.connection.error(error, about))?
            .id;

        if let Err(error) = self.begin(&docker, &id, group).await {
            // A container that cannot start is of no use to anybody; the next attempt makes a new one.
            let _ = docker.remove_container(&id, forced_removal()).await;
            return Err(self.connection.error(error, about));
        }
        let facts = docker
            .inspect_container(&id, None::<InspectContainerOptions>)
            .await
            .map_err(|error| self.connection.error(error, About::Container(&id)))?;
        let process = observed::from_inspect(&self.instance, facts).ok_or_else(unreadable)?;
        self.seen.looked(&process);
        Ok(process)
    }

    /// Starts a created container, once more where its network had gone since it was seen.
    async fn begin(&self, docker: &Docker, id: &str, group: &GroupSpec) -> Result<(), Error> {
        match docker
            .start_container(id, None::<StartContainerOptions>)
            .await
        {
            Err(error) if is_network_missing(&error) => {
                self.networks.forget(&group.app);
                if self
                    .networks
                    .ensure(&self.connection, docker, &group.app)
                    .await
                    .is_err()
                {
                    return Err(error);
                }
                docker
                    .start_container(id, None::<StartContainerOptions>)
                    .await
            }
            other => other,
        }
    }

    /// Deals with a container that has the name we want: the process if it runs, nothing once it is removed.
    async fn running_or_removed(
        &self,
        docker: &Docker,
        options: &CreateContainerOptions,
    ) -> Result<Option<Process>, EngineError> {
        let name = options.name.clone().unwrap_or_default();
        let facts = match docker
            .inspect_container(&name, None::<InspectContainerOptions>)
            .await
        {
            Ok(facts) => facts,
            Err(error) if is_not_found(&error) => return Ok(None),
            Err(error) => return Err(self.connection.error(error, About::Container(&name))),
        };
        let labels = facts.config.as_ref().and_then(|c| c.labels.as_ref());
        if labels.and_then(|labels| labels.get(INSTANCE)) != Some(&self.instance) {
            return Err(EngineError::Refused {
                said: format!("a container that is not mini's has the name {name}"),
            });
        }
        let id = facts.id.clone().unwrap_or(name);
        let process = observed::from_inspect(&self.instance, facts);
        if let Some(process) = process.filter(|process| process.state == ProcessState::Running) {
            return Ok(Some(process));
        }
        self.remove(&ProcessId(id)).await?;
        Ok(None)
    }

    pub(super) async fn restart(&self, id: &ProcessId) -> Result<(), EngineError> {
        let docker = self.connection.client().await?;
        self.seen.forget(&id.0);
        let about = About::Container(&id.0);
        let error = match docker
            .start_container(&id.0, None::<StartContainerOptions>)
            .await
        {
            Ok(()) => return Ok(()),
            Err(error) if is_network_missing(&error) => error,
            Err(error) if is_not_found(&error) => {
                return Err(self.connection.error(error, about));
            }
            Err(error) => return Err(self.connection.error(error, About::Start(id.short()))),
        };
        // Somebody pruned networks while the process was down.
        let facts = docker
            .inspect_container(&id.0, None::<InspectContainerOptions>)
            .await
            .map_err(|error| self.connection.error(error, about))?;
        let Some(process) = observed::from_inspect(&self.instance, facts) else {
            return Err(self.connection.error(error, about));
        };
        self.networks.forget(&process.app);
        let network = self
            .networks
            .ensure(&self.connection, &docker, &process.app)
            .await?;
        // A container keeps the id of the network it was in, so one of the same name is not enough.
        networks::reconnect(&docker, &network, &process)
            .await
            .map_err(|error| self.connection.error(error, about))?;
        docker
            .start_container(&id.0, None::<StartContainerOptions>)
            .await
            .map_err(|error| self.connection.error(error, About::Start(id.short())))
    }

    pub(super) async fn inspect(&self, id: &ProcessId) -> Result<serde_json::Value, EngineError> {
        let docker = self.connection.client().await?;
        let facts = docker
            .inspect_container(&id.0, None::<InspectContainerOptions>)
            .await
            .map_err(|error| self.connection.error(error, About::Container(&id.0)))?;
        serde_json::to_value(&facts).map_err(|error| EngineError::Refused {
            said: format!("what it knows of the container cannot be written as JSON: {error}"),
        })
    }

    pub(super) async fn stop(&self, id: &ProcessId, grace: Duration) -> Result<(), EngineError> {
        let docker = self.connection.patient_client(grace).await?;
        let options = StopContainerOptionsBuilder::default()
            .t(whole_seconds(grace))
            .build();
        match docker.stop_container(&id.0, Some(options)).await {
            Ok(()) => {
                self.seen.ended(&id.0);
                Ok(())
            }
            Err(error) if is_not_found(&error) => Ok(()),
            Err(error) => Err(self.connection.error(error, About::Container(&id.0))),
        }
    }

    pub(super) async fn remove(&self, id: &ProcessId) -> Result<(), EngineError> {
        let docker = self.connection.client().await?;
        match docker.remove_container(&id.0, forced_removal()).await {
            Ok(()) => Ok(()),
            Err(error) if is_not_found(&error) => Ok(()),
            Err(error) if is_conflict(&error) => {
                // "removal of container ... is already in progress": be there when it has ended.
                let options = WaitContainerOptionsBuilder::default()
                    .condition("removed")
                    .build();
                let mut removal = docker.wait_container(&id.0, Some(options));
                match tokio::time::timeout(REMOVED_WITHIN, removal.next()).await {
                    Ok(_) => Ok(()),
                    Err(_) => Err(self.connection.error(error, About::Container(&id.0))),
                }
            }
            Err(error) => Err(self.connection.error(error, About::Container(&id.0))),
        }
    }
}

/// Running or not, with its anonymous volumes.
pub(super) fn forced_removal() -> Option<RemoveContainerOptions> {
    Some(
        RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build(),
    )
}

/// The grace in Docker's unit, rounded up so that a part of a second is not none.
fn whole_seconds(grace: Duration) -> i32 {
    let seconds = grace
        .as_secs()
        .saturating_add(u64::from(grace.subsec_nanos() > 0));
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

fn unreadable() -> EngineError {
    EngineError::Refused {
        said: "the container does not carry the labels it was made with".to_owned(),
    }
}
