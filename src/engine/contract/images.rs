//! Builds, images, and their removal.

use anyhow::{Context, Result, ensure};
use futures_util::TryStreamExt;

use super::Bench;
use crate::engine::{BuildEvent, EngineError, MemoryContext, Process};
use crate::model::ImageId;

/// An image that is not here is named as the reason.
pub async fn missing_image_is_said(bench: &Bench<'_>) -> Result<()> {
    let missing: ImageId = format!("sha256:{}", "0".repeat(64)).parse()?;
    let group = bench.group(&missing, Some("true"))?;
    let start = bench.engine.start(&group, 1).await;
    let error = start.err().context("started from nothing")?;
    ensure!(
        matches!(&error, EngineError::ImageMissing { image, .. } if image == missing.as_str()),
        "{error:?}"
    );
    let run = bench.run(&bench.one_off(&missing, "true"), &[]).await;
    ensure!(run.is_err(), "ran from nothing");
    ensure!(bench.engine.image(missing.as_str()).await?.is_none());

    let nowhere = "127.0.0.1:1/none:1";
    let lines: Result<Vec<_>, _> = bench.engine.pull(nowhere).await?.try_collect().await;
    ensure!(
        matches!(&lines, Err(EngineError::ImageMissing { image, said }) if image == nowhere && !said.is_empty()),
        "{lines:?}"
    );
    let lines: Vec<_> = bench.engine.pull(bench.base).await?.try_collect().await?;
    let again: Vec<_> = bench.engine.pull(bench.base).await?.try_collect().await?;
    ensure!(again.is_empty(), "pulled twice: {lines:?} {again:?}");
    Ok(())
}

/// A build tells its steps and lines and leaves an image that can be asked about.
pub async fn build_makes_an_image(bench: &Bench<'_>) -> Result<()> {
    let lines = "RUN echo built\nEXPOSE 8080\nCMD [\"sleep\", \"1000\"]";
    let (said, image) = bench.build("one", lines).await?;
    let image = image?;
    let is_step = |event: &BuildEvent| matches!(event, BuildEvent::Step { name, .. } if name.ends_with("RUN echo built"));
    let steps = said.iter().filter(|event| is_step(event)).count();
    ensure!(steps == 1, "{said:?}");
    let spec = bench.build_spec("one", lines)?;
    let facts = bench.engine.image(&spec.tag).await?.context("no image")?;
    ensure!(
        facts.id == image && facts.exposed_ports == [8080] && facts.has_command,
        "{facts:?}"
    );
    Ok(())
}

/// A failed build names its step and what was wrong.
pub async fn build_failure_is_told(bench: &Bench<'_>) -> Result<()> {
    let (said, end) = bench.build("bad", "RUN echo before; exit 9").await?;
    ensure!(
        said.contains(&BuildEvent::Line("before".into())),
        "{said:?}"
    );
    let error = end.err().context("built all the same")?;
    ensure!(
        matches!(&error, EngineError::BuildFailed { step: Some(step), said }
            if step.contains("RUN echo before; exit 9") && said.contains("exit code: 9")),
        "{error:?}"
    );
    let (_, end) = bench.build("worse", "CPOY a b").await?;
    let error = end.err().context("built all the same")?;
    ensure!(
        matches!(&error, EngineError::BuildFailed { step: None, said }
            if said.contains("line 2") && said.contains("CPOY")),
        "{error:?}"
    );
    let mut spec = bench.build_spec("none", "")?;
    spec.dockerfile = "FROM 127.0.0.1:1/none:1\n".to_owned();
    let (_, end) = bench.build_of(&spec, MemoryContext::default()).await?;
    ensure!(
        matches!(&end, Err(EngineError::ImageMissing { image, .. }) if image.contains("none:1")),
        "{end:?}"
    );
    ensure!(bench.engine.image(&spec.tag).await?.is_none());
    Ok(())
}

/// Old images go, those kept or in use stay, and an app is removed whole.
pub async fn removal_is_whole(bench: &Bench<'_>) -> Result<()> {
    let engine = bench.engine;
    let build = async |deploy: &str| -> Result<ImageId> {
        Ok(bench
            .build(deploy, &format!("RUN echo {deploy}\nENV A={deploy}"))
            .await?
            .1?)
    };
    let (kept, used, old) = (
        build("kept").await?,
        build("used").await?,
        build("old").await?,
    );
    engine
        .start(&bench.group(&used, Some("sleep 1000"))?, 1)
        .await?;
    ensure!(
        engine
            .prune_images(&bench.app, std::slice::from_ref(&kept))
            .await?
            == 1
    );
    for (image, is_here) in [(&kept, true), (&used, true), (&old, false)] {
        ensure!(
            engine.image(image.as_str()).await?.is_some() == is_here,
            "{image}"
        );
    }
    ensure!(
        engine.image(bench.base).await?.is_some(),
        "the base image is not ours"
    );

    engine.remove_leftovers().await?;
    let is_ours = |process: &Process| process.app == bench.app;
    ensure!(
        engine.observe().await?.iter().any(is_ours),
        "a process is no leftover"
    );
    ensure!(
        engine.apps().await?.contains(&bench.app),
        "not among the apps"
    );
    engine
        .remove_app(&bench.app, std::slice::from_ref(&kept))
        .await?;
    ensure!(
        engine.image(kept.as_str()).await?.is_some(),
        "an image of another app with this name before"
    );
    engine.remove_app(&bench.app, &[]).await?;
    ensure!(
        !engine.apps().await?.contains(&bench.app),
        "something is left"
    );
    ensure!(
        !engine.observe().await?.iter().any(is_ours),
        "a process is left"
    );
    for image in [&kept, &used] {
        ensure!(
            engine.image(image.as_str()).await?.is_none(),
            "{image} is left"
        );
    }
    Ok(())
}
