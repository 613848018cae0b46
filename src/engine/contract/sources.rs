//! Images that come whole, and how long they are kept.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::json;

use super::{Bench, within};
use crate::engine::{BuildContext, ContextStream, EngineError, KEPT_PREFIX, MemoryContext};
use crate::model::ImageId;

/// A layer without files: a tar archive of two empty blocks, and its SHA-256.
const LAYER: [u8; 1024] = [0; 1024];
const LAYER_DIGEST: &str =
    "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

/// An archive as `docker save` writes it, of images that expose one port each.
pub fn saved(images: &[(&str, u16)]) -> Result<Bytes> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |path: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, content)
    };
    add("layer.tar", &LAYER)?;
    let mut manifest = Vec::new();
    for (name, port) in images {
        let path = format!("{port}.json");
        let exposed = format!("{port}/tcp");
        let config = json!({
            "architecture": match std::env::consts::ARCH { "aarch64" => "arm64", _ => "amd64" },
            "os": "linux",
            "config": {"Cmd": ["/serve", name], "ExposedPorts": {exposed: {}}},
            "rootfs": {"type": "layers", "diff_ids": [LAYER_DIGEST]},
            "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "a test"}],
        });
        add(&path, config.to_string().as_bytes())?;
        manifest.push(json!({"Config": path, "RepoTags": [name], "Layers": ["layer.tar"]}));
    }
    let manifest = serde_json::Value::Array(manifest).to_string();
    add("manifest.json", manifest.as_bytes())?;
    Ok(builder.into_inner()?.into())
}

fn sent(bytes: &Bytes) -> ContextStream {
    let bytes = bytes.clone();
    stream::once(async { Ok(bytes) }).boxed()
}

async fn build_of(bench: &Bench<'_>, deploy: &str, source: &str) -> Result<ImageId> {
    let mut spec = bench.build_spec(deploy, "")?;
    spec.source = Some(source.to_owned());
    spec.dockerfile = format!("FROM {source}\n");
    Ok(bench.build_of(&spec, MemoryContext::default()).await?.1?)
}

/// Of an archive one image is kept, and it is gone with the last one that was built of it.
pub async fn archive_is_loaded(bench: &Bench<'_>) -> Result<()> {
    let engine = bench.engine;
    let (_, here) = bench.build("here", "CMD [\"sleep\", \"1000\"]").await?;
    let here = here?;
    let taken = bench.build_spec("here", "")?.tag;
    let other = format!("{}-other:1", bench.app);
    let archive = saved(&[(taken.as_str(), 8123), (other.as_str(), 8124)])?;
    let kept = within("a load", engine.load(sent(&archive), &taken)).await??;
    ensure!(kept.name.starts_with(KEPT_PREFIX), "{kept:?}");
    let facts = engine.image(&kept.name).await?.context("was not kept")?;
    ensure!(
        facts.id == kept.id && facts.exposed_ports == [8123] && facts.has_command,
        "{facts:?}"
    );
    ensure!(facts.digests.is_empty(), "no registry has it: {facts:?}");
    let named = engine.image(&taken).await?.context("the name is gone")?;
    ensure!(named.id == here, "the name stands for what was loaded");
    ensure!(
        engine.image(&other).await?.is_none(),
        "the other one is left"
    );
    let again = within("a load", engine.load(sent(&archive), &taken)).await??;
    ensure!(again == kept, "{again:?}");

    let (first, second) = (
        build_of(bench, "first", &kept.name).await?,
        build_of(bench, "second", &kept.name).await?,
    );
    let facts = engine.image(first.as_str()).await?.context("not built")?;
    ensure!(
        facts.exposed_ports == [8123] && facts.has_command,
        "{facts:?}"
    );
    engine
        .prune_images(&bench.app, std::slice::from_ref(&second))
        .await?;
    ensure!(engine.image(&kept.name).await?.is_some(), "still needed");
    engine.prune_images(&bench.app, &[]).await?;
    ensure!(engine.image(&kept.name).await?.is_none(), "is left");
    ensure!(engine.image(kept.id.as_str()).await?.is_none(), "is left");
    Ok(())
}

/// What is no archive of images is refused in words, and so is one without the image that was meant.
pub async fn other_archives_are_refused(bench: &Bench<'_>) -> Result<()> {
    let name = format!("{}-saved:1", bench.app);
    let whole = saved(&[(name.as_str(), 8125)])?;
    let broken: ContextStream = stream::iter([
        Ok(whole.slice(..700)),
        Err(std::io::Error::other("the disk is full")),
    ])
    .boxed();
    let plain = MemoryContext::default().archive(&[("Dockerfile", "FROM nothing\n")]);
    for (sent, wanted, why) in [
        (sent(&whole), "absent:1", name.as_str()),
        (plain, "absent:1", "manifest.json"),
        (
            sent(&whole.slice(..whole.len() / 2)),
            name.as_str(),
            "too early",
        ),
        (broken, name.as_str(), "the disk is full"),
    ] {
        let loaded = within("a load", bench.engine.load(sent, wanted)).await?;
        ensure!(
            matches!(&loaded, Err(EngineError::Archive { why: said }) if said.contains(why)),
            "{why}: {loaded:?}"
        );
        ensure!(bench.engine.image(&name).await?.is_none(), "is left");
    }
    Ok(())
}
