//! The network of each app: made on its first start, found again by its labels.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::PoisonError;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    EndpointSettings, Ipam, IpamConfig, Network, NetworkConnectRequest, NetworkCreateRequest,
    NetworkDisconnectRequest,
};
use bollard::query_parameters::{ListNetworksOptions, ListNetworksOptionsBuilder};

use super::Connection;
use super::errors::{About, is_not_found, refusal};
use super::labels::{self, Kind};
use super::subnets::{Pool, Subnet, default_interface, routed};
use crate::engine::{EngineError, Process};
use crate::model::{AppName, ProcessType};

/// How often a subnet is tried that turns out to be taken after all: by another installation, or by a route that came
/// between our look and the attempt.
const ATTEMPTS: usize = 32;

/// The networks of one installation.
pub(super) struct Networks {
    instance: String,
    /// Apps whose network was seen; a start tells us when that is no longer so.
    known: std::sync::Mutex<HashSet<AppName>>,
    /// Held across the calls to Docker on purpose: two first starts of an app must not make two networks of one name,
    /// which Docker before API 1.44 allows, and two apps must not pick one subnet.
    pool: tokio::sync::Mutex<Pool>,
}

impl Networks {
    pub(super) fn new(instance: &str, range: Subnet) -> Self {
        let mut hasher = DefaultHasher::new();
        instance.hash(&mut hasher);
        Self {
            instance: instance.to_owned(),
            known: std::sync::Mutex::default(),
            pool: tokio::sync::Mutex::new(Pool::new(range, hasher.finish() as u32)),
        }
    }

    /// The name of the app's network, which exists once this returns.
    pub(super) async fn ensure(
        &self,
        connection: &Connection,
        docker: &Docker,
        app: &AppName,
    ) -> Result<String, EngineError> {
        let name = labels::network_name(&self.instance, app);
        if self.is_known(app) {
            return Ok(name);
        }
        let mut pool = self.pool.lock().await;
        if !self.is_known(app) {
            self.find_or_create(&mut pool, connection, docker, app)
                .await?;
            self.known
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(app.clone());
        }
        Ok(name)
    }

    /// Forgets that the app's network was seen.
    pub(super) fn forget(&self, app: &AppName) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(app);
    }

    /// Removes the app's network; fine when there is none.
    pub(super) async fn remove(
        &self,
        connection: &Connection,
        docker: &Docker,
        app: &AppName,
    ) -> Result<(), EngineError> {
        let _pool = self.pool.lock().await;
        self.forget(app);
        for network in self.of_app(connection, docker, app).await? {
            let Some(id) = network.id else { continue };
            match docker.remove_network(&id).await {
                Ok(()) => {}
                Err(error) if is_not_found(&error) => {}
                Err(error) => return Err(connection.error(error, About::Call)),
            }
        }
        Ok(())
    }

    fn is_known(&self, app: &AppName) -> bool {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(app)
    }

    async fn find_or_create(
        &self,
        pool: &mut Pool,
        connection: &Connection,
        docker: &Docker,
        app: &AppName,
    ) -> Result<(), EngineError> {
        if !self.of_app(connection, docker, app).await?.is_empty() {
            return Ok(());
        }
        let taken = taken_subnets(connection, docker).await?;
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let Some(subnet) = pool.take(&taken) else {
                break;
            };
            match docker.create_network(self.request(app, subnet)).await {
                Ok(_) => return Ok(()),
                Err(error) if is_overlap(&error) => last = Some(error),
                Err(error) => return Err(connection.error(error, About::Call)),
            }
        }
        Err(match last {
            Some(error) => connection.error(error, About::Call),
            None => refusal(
                500,
                "no free subnet is left in mini's network pool".to_owned(),
                About::Call,
            ),
        })
    }

    async fn of_app(
        &self,
        connection: &Connection,
        docker: &Docker,
        app: &AppName,
    ) -> Result<Vec<Network>, EngineError> {
        let filters = labels::filter(&[
            (labels::INSTANCE, &self.instance),
            (labels::APP, app.as_str()),
            (labels::KIND, Kind::Network.as_str()),
        ]);
        let options = ListNetworksOptionsBuilder::default()
            .filters(&filters)
            .build();
        docker
            .list_networks(Some(options))
            .await
            .map_err(|error| connection.error(error, About::Call))
    }

    fn request(&self, app: &AppName, subnet: Subnet) -> NetworkCreateRequest {
        NetworkCreateRequest {
            name: labels::network_name(&self.instance, app),
            driver: Some("bridge".to_owned()),
            ipam: Some(Ipam {
                config: Some(vec![IpamConfig {
                    subnet: Some(subnet.to_string()),
                    ..IpamConfig::default()
                }]),
                ..Ipam::default()
            }),
            options: host_mtu()
                .map(|mtu| HashMap::from([("com.docker.network.driver.mtu".to_owned(), mtu)])),
            labels: Some(labels::of_app(&self.instance, app, Kind::Network.as_str())),
            ..NetworkCreateRequest::default()
        }
    }
}

/// The name by which the processes of a type are found inside their app's network.
pub(super) fn alias(app: &AppName, process_type: &ProcessType) -> String {
    format!("{app}.{process_type}")
}

/// Puts a process that does not run into the network of this name, in place of an earlier one of the same name.
pub(super) async fn reconnect(
    docker: &Docker,
    network: &str,
    process: &Process,
) -> Result<(), Error> {
    let leave = NetworkDisconnectRequest {
        container: process.id.0.clone(),
        force: Some(true),
    };
    // Refused where Docker has forgotten the old one by itself.
    let _ = docker.disconnect_network(network, leave).await;
    let join = NetworkConnectRequest {
        container: process.id.0.clone(),
        endpoint_config: Some(EndpointSettings {
            aliases: Some(vec![alias(&process.app, &process.process_type)]),
            ..EndpointSettings::default()
        }),
    };
    docker.connect_network(network, join).await
}

/// What must not be given to a new network: the subnets of all networks in Docker, and what the host routes elsewhere.
async fn taken_subnets(
    connection: &Connection,
    docker: &Docker,
) -> Result<Vec<Subnet>, EngineError> {
    let networks = docker
        .list_networks(None::<ListNetworksOptions>)
        .await
        .map_err(|error| connection.error(error, About::Call))?;
    let mut taken = routed(&route_table());
    taken.extend(
        networks
            .into_iter()
            .filter_map(|network| network.ipam?.config)
            .flatten()
            .filter_map(|config| config.subnet?.parse::<Subnet>().ok()),
    );
    Ok(taken)
}

fn is_overlap(error: &Error) -> bool {
    // libnetwork: "Pool overlaps with other one on this address space"; its bridge driver: "conflicts with network ...".
    matches!(error, Error::DockerResponseServerError { message, .. }
        if message.contains("overlaps") || message.contains("conflicts with network"))
}

/// The MTU of the host's default route where it is not the usual 1500: Docker gives user networks 1500 whatever the host
/// has, and larger answers then vanish on the way (seen with a route of 1400).
fn host_mtu() -> Option<String> {
    let table = route_table();
    let interface = default_interface(&table)?;
    let mtu: u32 = std::fs::read_to_string(format!("/sys/class/net/{interface}/mtu"))
        .ok()?
        .trim()
        .parse()
        .ok()?;
    (mtu != 1500).then(|| mtu.to_string())
}

fn route_table() -> String {
    // Kernel files: reading one is a few microseconds and never waits for a disk.
    std::fs::read_to_string("/proc/net/route").unwrap_or_default()
}
