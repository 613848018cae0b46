//! Taking away what is no longer wanted; never anything without our labels.

use std::collections::{BTreeSet, HashMap};

use bollard::Docker;
use bollard::models::ContainerSummary;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListNetworksOptionsBuilder,
};

use super::Inner;
use super::errors::About;
use super::labels::{self, Kind};
use crate::engine::{EngineError, ProcessId};
use crate::model::{AppName, ImageId};

impl Inner {
    pub(super) async fn apps(&self) -> Result<BTreeSet<AppName>, EngineError> {
        let docker = self.connection.client().await?;
        let ours = [(labels::INSTANCE, self.instance.as_str())];
        let mut apps = BTreeSet::new();
        for container in self.containers(&docker, &ours).await? {
            apps.extend(app_of(container.labels.as_ref()));
        }
        let networks = ListNetworksOptionsBuilder::default()
            .filters(&labels::filter(&ours))
            .build();
        let networks = docker.list_networks(Some(networks)).await;
        for network in networks.map_err(|error| self.connection.error(error, About::Call))? {
            apps.extend(app_of(network.labels.as_ref()));
        }
        let images = ListImagesOptionsBuilder::default()
            .filters(&labels::filter(&ours))
            .build();
        let images = docker.list_images(Some(images)).await;
        for image in images.map_err(|error| self.connection.error(error, About::Call))? {
            apps.extend(app_of(Some(&image.labels)));
        }
        Ok(apps)
    }

    pub(super) async fn remove_app(
        &self,
        app: &AppName,
        keep: &[ImageId],
    ) -> Result<(), EngineError> {
        let docker = self.connection.client().await?;
        let of_app = [
            (labels::INSTANCE, self.instance.as_str()),
            (labels::APP, app.as_str()),
        ];
        for container in self.containers(&docker, &of_app).await? {
            if kind_of(&container) != Some(Kind::Image.as_str()) {
                self.remove_container(container).await?;
            }
        }
        self.networks.remove(&self.connection, &docker, app).await?;
        self.prune_images(app, keep).await?;
        Ok(())
    }

    pub(super) async fn remove_leftovers(&self) -> Result<(), EngineError> {
        let docker = self.connection.client().await?;
        let of_instance = [(labels::INSTANCE, self.instance.as_str())];
        for container in self.containers(&docker, &of_instance).await? {
            // What has the kind of an image was made by hand from one of ours and inherited its labels.
            let kept = [Kind::Process.as_str(), Kind::Image.as_str()];
            if kind_of(&container).is_some_and(|kind| !kept.contains(&kind)) {
                self.remove_container(container).await?;
            }
        }
        self.remove_vessels(&docker).await
    }

    pub(super) async fn containers(
        &self,
        docker: &Docker,
        labels: &[(&str, &str)],
    ) -> Result<Vec<ContainerSummary>, EngineError> {
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&labels::filter(labels))
            .build();
        docker
            .list_containers(Some(options))
            .await
            .map_err(|error| self.connection.error(error, About::Call))
    }

    async fn remove_container(&self, container: ContainerSummary) -> Result<(), EngineError> {
        match container.id {
            Some(id) => self.remove(&ProcessId(id)).await,
            None => Ok(()),
        }
    }
}

fn app_of(labels: Option<&HashMap<String, String>>) -> Option<AppName> {
    labels?.get(labels::APP)?.parse().ok()
}

pub(super) fn kind_of(container: &ContainerSummary) -> Option<&str> {
    container
        .labels
        .as_ref()?
        .get(labels::KIND)
        .map(String::as_str)
}
