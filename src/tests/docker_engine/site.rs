//! An installation of mini's engine for one test.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use bollard::Docker;
use bollard::models::{ContainerInspectResponse, ContainerSummary, Network};
use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
};
use mini::engine::contract::{Bench, within};
use mini::engine::{ContainerEngine, DockerEngine, DockerSettings};

const BASE: &str = "debian:trixie-slim";

/// One test's installation.
pub(crate) struct Site {
    pub(crate) engine: DockerEngine,
    pub(crate) instance: String,
    pub(crate) docker: Docker,
}

impl Site {
    pub(crate) async fn new(test: &str) -> Result<Self> {
        let instance = format!("t{}-{}", std::process::id(), test.replace('_', "-"));
        let instance = instance
            .get(..40)
            .unwrap_or(&instance)
            .trim_end_matches('-')
            .to_owned();
        let engine = DockerEngine::connect(DockerSettings::new(instance.clone()));
        if let Err(error) = engine.version().await {
            bail!(
                "these tests need Docker, and it does not answer at {}: {error:?}",
                engine.socket()
            );
        }
        let base = engine.image(BASE).await?;
        ensure!(
            base.is_some(),
            "these tests need the image {BASE}; `.ci/base-images` makes it"
        );
        let socket = format!("unix://{}", engine.socket());
        let docker = Docker::connect_with_unix(&socket, 120, bollard::API_DEFAULT_VERSION)?;
        Ok(Self {
            engine,
            instance,
            docker,
        })
    }

    pub(crate) fn bench(&self, app: &str) -> Result<Bench<'_>> {
        Ok(Bench {
            engine: &self.engine,
            // Tags of images are not per installation, so the names of apps are.
            app: format!("{app}-{}", self.instance).parse()?,
            base: BASE,
        })
    }

    pub(crate) async fn inspect(&self, id: &str) -> Result<ContainerInspectResponse> {
        Ok(self
            .docker
            .inspect_container(id, None::<InspectContainerOptions>)
            .await?)
    }

    fn ours(&self) -> HashMap<String, Vec<String>> {
        let label = format!("mini.instance={}", self.instance);
        HashMap::from([("label".to_owned(), vec![label])])
    }

    pub(crate) async fn containers(&self) -> Result<Vec<ContainerSummary>> {
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&self.ours())
            .build();
        Ok(self.docker.list_containers(Some(options)).await?)
    }

    pub(crate) async fn networks(&self) -> Result<Vec<Network>> {
        let options = ListNetworksOptionsBuilder::default()
            .filters(&self.ours())
            .build();
        Ok(self.docker.list_networks(Some(options)).await?)
    }
}

/// Runs a test on a site whose apps are `app` and whatever `app-<number>` it makes, and cleans up whatever came of it.
pub(crate) async fn on_docker(
    name: &str,
    test: impl AsyncFnOnce(&Site, &Bench<'_>) -> Result<()>,
) -> Result<()> {
    let site = Site::new(name).await?;
    let bench = site.bench("shop")?;
    let outcome = test(&site, &bench).await;
    let apps: BTreeSet<String> = site
        .networks()
        .await?
        .into_iter()
        .filter_map(|network| network.labels?.remove("mini.app"))
        .chain([bench.app.to_string()])
        .collect();
    for app in apps {
        site.engine.remove_app(&app.parse()?, &[]).await?;
    }
    outcome?;
    ensure!(site.containers().await?.is_empty(), "containers are left");
    ensure!(site.networks().await?.is_empty(), "networks are left");
    Ok(())
}

/// Asks again until the answer is yes.
pub(crate) async fn until<F>(what: &str, mut ask: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = Result<bool>>,
{
    let asking = async {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            tick.tick().await;
            if ask().await? {
                return Ok(());
            }
        }
    };
    within(what, asking).await?
}
