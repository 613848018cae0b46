//! What only Docker can show of builds and images.

use anyhow::{Context, Result, ensure};
use bollard::query_parameters::{RemoveImageOptions, TagImageOptionsBuilder};
use futures_util::StreamExt;
use mini::engine::BuildEvent;
use mini::engine::contract::within;

use super::site::{on_docker, until};

#[tokio::test]
async fn a_build_that_is_dropped_leaves_nothing() -> Result<()> {
    on_docker("dropped-build", async |_site, bench| {
        let seconds = format!("9{}", std::process::id());
        let spec = bench.build_spec("dropped")?;
        let context = bench.context(&format!("RUN echo begun; sleep {seconds}"))?;
        let mut events = bench.engine.build(&spec, context).await?;
        loop {
            let event = within("the step", events.next())
                .await?
                .context("no step")??;
            if event == BuildEvent::Line("begun".to_owned()) {
                break;
            }
        }
        let is_running = || {
            let command = format!("sleep\0{seconds}\0");
            std::fs::read_dir("/proc").is_ok_and(|entries| {
                entries.flatten().any(|entry| {
                    std::fs::read(entry.path().join("cmdline"))
                        .is_ok_and(|line| line == command.as_bytes())
                })
            })
        };
        until("the sleep in the build", async || Ok(is_running())).await?;
        drop(events);
        until("the end of the sleep", async || Ok(!is_running())).await?;
        ensure!(
            bench.engine.image(&spec.tag).await?.is_none(),
            "an image is left"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_second_build_finds_its_steps_in_the_cache() -> Result<()> {
    on_docker("cache", async |site, bench| {
        let lines = format!("RUN echo {}", site.instance);
        let (first, image) = bench.build("one", &lines).await?;
        let (second, again) = bench.build("two", &lines).await?;
        let is_cached = |events: &[BuildEvent]| {
            events.iter().any(|event| {
                matches!(event, BuildEvent::Step { name, is_cached: true } if name.contains("RUN"))
            })
        };
        ensure!(
            !is_cached(&first) && is_cached(&second),
            "{first:?} {second:?}"
        );
        ensure!(image? == again?, "the same source, two images");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_image_somebody_else_tagged_is_left() -> Result<()> {
    on_docker("tagged", async |site, bench| {
        let (_, image) = bench.build("one", "ENV A=1").await?;
        let image = image?;
        let (repo, tag) = ("somebody/copy", site.instance.as_str());
        let options = TagImageOptionsBuilder::default()
            .repo(repo)
            .tag(tag)
            .build();
        site.docker.tag_image(image.as_str(), Some(options)).await?;
        let pruned = bench.engine.prune_images(&bench.app, &[]).await;
        let is_here = bench.engine.image(image.as_str()).await?.is_some();
        let name = format!("{repo}:{tag}");
        site.docker
            .remove_image(&name, None::<RemoveImageOptions>, None)
            .await?;
        ensure!(pruned? == 0 && is_here);
        ensure!(bench.engine.prune_images(&bench.app, &[]).await? == 1);
        Ok(())
    })
    .await
}
