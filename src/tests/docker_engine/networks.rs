//! Networks, and the way to Docker itself.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use mini::engine::contract::{LIMITS, within};
use mini::engine::{
    ContainerEngine, DockerEngine, DockerSettings, EngineError, GroupSpec, Limits, ProcessState,
};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::site::{Site, on_docker};

#[tokio::test]
async fn forty_apps_have_networks_of_their_own() -> Result<()> {
    on_docker("forty", async |site, bench| {
        let image = bench.image().await?;
        let starts = (1..=40).map(|number| {
            let image = &image;
            async move {
                let bench = site.bench(&format!("app-{number}"))?;
                let group = bench.group(image, Some("sleep 1000"))?;
                if number <= 3 {
                    // Two at once, so that both want to make the network.
                    let starts = [1, 2].map(|index| bench.engine.start(&group, index));
                    for process in futures_util::future::try_join_all(starts).await? {
                        ensure!(process.address.is_some());
                    }
                } else {
                    // A start that gets as far as its network is enough, and costs no container.
                    let impossible = GroupSpec {
                        limits: Limits {
                            memory_bytes: Some(1),
                            ..LIMITS
                        },
                        ..group
                    };
                    let refused = bench.engine.start(&impossible, 1).await;
                    ensure!(
                        matches!(refused, Err(EngineError::CannotStart { .. })),
                        "{refused:?}"
                    );
                }
                Ok(())
            }
        });
        let starts: Vec<_> = starts.collect();
        stream::iter(starts)
            .buffer_unordered(4)
            .try_collect::<()>()
            .await?;
        let subnets: BTreeSet<String> = site
            .networks()
            .await?
            .into_iter()
            .filter_map(|network| network.ipam?.config?.pop()?.subnet)
            .collect();
        ensure!(subnets.len() == 40, "{subnets:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_network_that_was_pruned_is_made_again() -> Result<()> {
    on_docker("pruned", async |site, bench| {
        let group = bench.group(&bench.image().await?, Some("sleep 1000"))?;
        let process = bench.engine.start(&group, 1).await?;
        bench.engine.stop(&process.id, Duration::ZERO).await?;
        let prune = async || -> Result<()> {
            for network in site.networks().await? {
                site.docker
                    .remove_network(&network.id.context("no id")?)
                    .await?;
            }
            Ok(())
        };
        prune().await?;
        bench.engine.restart(&process.id).await?;
        let is_running = |state: &ProcessState| *state == ProcessState::Running;
        let process = bench.until("the restart", |p| is_running(&p.state)).await?;
        ensure!(process.address.is_some());
        bench.engine.remove(&process.id).await?;
        prune().await?;
        let process = bench.engine.start(&group, 1).await?;
        ensure!(process.address.is_some());
        bench.engine.remove(&process.id).await?;
        prune().await?;
        let spec = bench.one_off(&group.image, "echo here");
        let (said, code) = bench.run(&spec, &[]).await?;
        ensure!(code == 0 && said.stdout == "here\n", "{code} {said:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn processes_find_each_other_by_name() -> Result<()> {
    on_docker("alias", async |_site, bench| {
        let group = bench.group(&bench.image().await?, Some("sleep 1000"))?;
        let process = bench.engine.start(&group, 1).await?;
        let spec = bench.one_off(&group.image, &format!("getent hosts {}.web", bench.app));
        let (said, code) = bench.run(&spec, &[]).await?;
        let address = process.address.context("no address")?.to_string();
        ensure!(code == 0 && said.stdout.starts_with(&address), "{said:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn docker_may_come_later_and_go_again() -> Result<()> {
    let site = Site::new("comes-and-goes").await?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("docker.sock");
    let engine = DockerEngine::connect(DockerSettings {
        socket: Some(path.to_string_lossy().into_owned()),
        ..DockerSettings::new(site.instance.clone())
    });
    let is_down = async || {
        let answer = engine.observe().await;
        matches!(answer, Err(EngineError::Unavailable { socket, .. }) if socket == engine.socket())
    };
    ensure!(is_down().await);
    let mut changes = engine.changes();

    // A socket of our own that leads to Docker stands for a Docker that comes and goes.
    let listener = UnixListener::bind(&path)?;
    let docker = site.engine.socket().to_owned();
    let mut gate = JoinSet::new();
    gate.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            let docker = docker.clone();
            connections.spawn(async move {
                if let Ok(mut far) = UnixStream::connect(docker).await {
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    });
    within("the change when Docker came", changes.next()).await?;
    ensure!(engine.observe().await?.is_empty());
    gate.shutdown().await;
    within("the change when Docker went", changes.next()).await?;
    ensure!(is_down().await);
    Ok(())
}
