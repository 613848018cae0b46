//! An engine that runs nothing, for tests: processes are entries in a map and do what a few shell words say.
//!
//! It passes the same contract tests as Docker. Commands: `sleep` and anything unknown run on, `exit 3` ends at once,
//! `echo` writes to the log, see `script`.

mod archive;
mod build;
mod controls;
mod script;
#[cfg(test)]
mod tests;
mod world;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;

use self::script::Act;
use self::world::{Image, World};
use super::{
    AppImage, BuildCacheUse, BuildContext, BuildEvent, BuildMemory, BuildSpec, Change,
    ContainerEngine, ContextStream, EngineError, EngineVersion, FolderStream, GroupSpec,
    ImageFacts, KEPT_PREFIX, KeptImage, LogLine, LogQuery, LogStream, OneOffIo, OneOffSpec,
    Process, ProcessId, ProcessState, Stream,
};
use crate::model::{AppName, ImageId, StorageName};

/// The in-memory engine. Clones share everything.
#[derive(Debug, Clone)]
pub struct MemoryEngine {
    world: Arc<Mutex<World>>,
    changed: watch::Sender<u64>,
}

impl Default for MemoryEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryEngine {
    /// An engine in which nothing runs and no image is.
    pub fn new() -> Self {
        Self {
            world: Arc::default(),
            changed: watch::Sender::new(0),
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The world, unless it is down.
    fn reach(&self) -> Result<MutexGuard<'_, World>, EngineError> {
        let world = self.world();
        if world.is_down {
            return Err(EngineError::Unavailable {
                socket: "memory".to_owned(),
                source: "the test has taken it down".into(),
            });
        }
        Ok(world)
    }

    /// Does something with the world and tells who watches for changes.
    fn change<T>(&self, act: impl FnOnce(&mut World) -> T) -> Result<T, EngineError> {
        let value = act(&mut *self.reach()?);
        self.tell();
        Ok(value)
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// The lines of a process's log from number `from`, and whether more can come.
    fn log_from(&self, id: &ProcessId, from: usize) -> Result<(Vec<LogLine>, bool), EngineError> {
        let mut world = self.reach()?;
        let held = world.held(id)?;
        let lines = held.log.get(from..).unwrap_or_default().to_vec();
        Ok((lines, held.process.state == ProcessState::Running))
    }
}

#[async_trait]
impl ContainerEngine for MemoryEngine {
    async fn version(&self) -> Result<EngineVersion, EngineError> {
        let _world = self.reach()?;
        Ok(EngineVersion {
            name: "memory".to_owned(),
            version: crate::VERSION.to_owned(),
            api: "1.41".to_owned(),
        })
    }

    async fn observe(&self) -> Result<Vec<Process>, EngineError> {
        let mut world = self.reach()?;
        if std::mem::take(&mut world.panics) {
            drop(world);
            std::panic::resume_unwind(Box::new("asked for by a test"));
        }
        let held = world.processes.values();
        Ok(held.map(|held| held.process.clone()).collect())
    }

    fn changes(&self) -> BoxStream<'static, Change> {
        WatchStream::new(self.changed.subscribe())
            .map(|_| Change)
            // Endless, as the port has it, also when every engine is dropped.
            .chain(stream::pending())
            .boxed()
    }

    async fn prepare(&self, _app: &AppName) -> Result<(), EngineError> {
        self.reach().map(drop)
    }

    async fn start(&self, group: &GroupSpec, index: u16) -> Result<Process, EngineError> {
        let mut changes = self.changed.subscribe();
        // Fails only without a sender, and this engine has it.
        let _ = changes.wait_for(|_| !self.world().holds_starts).await;
        self.change(|world| world.start(group, index))?
    }

    async fn restart(&self, id: &ProcessId) -> Result<(), EngineError> {
        self.change(|world| {
            world.require_loose(id)?;
            if world.held(id)?.process.state != ProcessState::Running {
                world.begin(id)?;
            }
            Ok(())
        })?
    }

    async fn stop(&self, id: &ProcessId, _grace: Duration) -> Result<(), EngineError> {
        self.change(|world| {
            world.require_loose(id)?;
            if let Ok(held) = world.held(id) {
                // 128 + SIGTERM: a process that ends at once when asked.
                held.end(143, false);
            }
            Ok(())
        })?
    }

    async fn remove(&self, id: &ProcessId) -> Result<(), EngineError> {
        self.change(|world| {
            world.require_loose(id)?;
            world.processes.remove(id);
            Ok(())
        })?
    }

    async fn logs(&self, id: &ProcessId, query: LogQuery) -> Result<LogStream, EngineError> {
        // Subscribed before the first look, so that nothing said in between is missed.
        let mut changes = self.changed.subscribe();
        let (mut lines, is_open) = self.log_from(id, 0)?;
        let mut seen = lines.len();
        if let Some(since) = query.since {
            lines.retain(|line| line.at > since);
        }
        if let Some(tail) = query.tail {
            lines.drain(..lines.len().saturating_sub(tail));
        }
        let first = stream::iter(lines).map(Ok);
        if !query.follow || !is_open {
            return Ok(first.boxed());
        }
        let (engine, id) = (self.clone(), id.clone());
        let (sender, rest) = tokio::sync::mpsc::channel(16);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    () = sender.closed() => return,
                }
                let Ok((lines, is_open)) = engine.log_from(&id, seen) else {
                    return;
                };
                seen += lines.len();
                for line in lines {
                    if sender.send(Ok(line)).await.is_err() {
                        return;
                    }
                }
                if !is_open {
                    return;
                }
            }
        });
        let rest = tokio_stream::wrappers::ReceiverStream::new(rest);
        Ok(first.chain(rest).boxed())
    }

    async fn listening(&self, id: &ProcessId) -> Result<Vec<SocketAddr>, EngineError> {
        Ok(self.reach()?.held(id)?.listening.clone())
    }

    async fn inspect(&self, id: &ProcessId) -> Result<serde_json::Value, EngineError> {
        Ok(self.reach()?.held(id)?.inspected())
    }

    async fn build(
        &self,
        spec: &BuildSpec,
        context: Arc<dyn BuildContext>,
    ) -> Result<BoxStream<'static, Result<BuildEvent, EngineError>>, EngineError> {
        if let Some(scripted) = self.reach()?.builds.pop_front() {
            return Ok(stream::iter(scripted).boxed());
        }
        let (engine, spec) = (self.clone(), spec.clone());
        let events = async move {
            let archive = context
                .archive(&[(".mini.Dockerfile", &spec.dockerfile)])
                .try_fold(Vec::new(), |mut all, chunk| async move {
                    all.extend_from_slice(&chunk);
                    Ok(all)
                })
                .await;
            let outcome = match archive {
                Ok(archive) => {
                    let known = engine.world().images.clone();
                    build::build(&spec, &archive, &known)
                }
                Err(error) => {
                    let said = format!("the source could not be sent to the build: {error}");
                    return stream::iter(vec![Err(EngineError::Refused { said })]);
                }
            };
            let end = outcome.end.map(|facts| {
                let id = facts.id.clone();
                engine.world().cache_bytes += facts.size_bytes;
                engine.keep_image(Some(&spec.app), &spec.tag, facts, spec.source);
                BuildEvent::Done(id)
            });
            let events = outcome.events.into_iter().map(Ok);
            stream::iter(events.chain([end]).collect::<Vec<_>>())
        };
        Ok(stream::once(events).flatten().boxed())
    }

    async fn pull(
        &self,
        reference: &str,
    ) -> Result<BoxStream<'static, Result<String, EngineError>>, EngineError> {
        let is_here = self.image(reference).await?.is_some();
        let lines = if is_here {
            Vec::new()
        } else if build::is_missing(reference) {
            vec![Err(EngineError::ImageMissing {
                image: reference.to_owned(),
                said: "connection refused".to_owned(),
            })]
        } else {
            self.add_image(reference, &[]);
            vec![Ok(format!("Pulling {reference}"))]
        };
        Ok(stream::iter(lines).boxed())
    }

    async fn fetch(
        &self,
        reference: &str,
    ) -> Result<BoxStream<'static, Result<String, EngineError>>, EngineError> {
        let published = self.reach()?.registry.clone();
        let published = published.into_iter().rev();
        let line = match published.into_iter().find(|(name, _)| name == reference) {
            Some((name, facts)) => {
                // The one before has its digest still.
                self.keep_image(None, &name, facts, None);
                Ok(format!("Pulling {name}"))
            }
            None if build::is_missing(reference) => Err(EngineError::ImageMissing {
                image: reference.to_owned(),
                said: "connection refused".to_owned(),
            }),
            None => {
                self.add_image(reference, &[]);
                Ok(format!("Pulling {reference}"))
            }
        };
        Ok(stream::iter([line]).boxed())
    }

    async fn load(&self, archive: ContextStream, wanted: &str) -> Result<KeptImage, EngineError> {
        let archive = archive
            .try_fold(Vec::new(), |mut all, chunk| async move {
                all.extend_from_slice(&chunk);
                Ok(all)
            })
            .await;
        let archive = archive.map_err(|error| EngineError::Archive {
            why: error.to_string(),
        })?;
        let facts = archive::image(&archive, wanted)?;
        self.reach().map(drop)?;
        Ok(self.keep_as_ours(facts))
    }

    async fn keep(&self, image: &ImageId) -> Result<KeptImage, EngineError> {
        let facts = self.image(image.as_str()).await?;
        let facts = facts.ok_or_else(|| EngineError::ImageMissing {
            image: image.to_string(),
            said: format!("No such image: {image}"),
        })?;
        Ok(self.keep_as_ours(facts))
    }

    async fn image(&self, reference: &str) -> Result<Option<ImageFacts>, EngineError> {
        let world = self.reach()?;
        let mut images = world.images.iter().rev();
        let found = images.find(|image| image.is_called(reference));
        Ok(found.map(|image| image.facts.clone()))
    }

    async fn prune_images(&self, app: &AppName, keep: &[ImageId]) -> Result<usize, EngineError> {
        let mut world = self.reach()?;
        let images = std::mem::take(&mut world.images);
        let (left, removed): (Vec<Image>, Vec<Image>) = images.into_iter().partition(|image| {
            image.app.as_ref() != Some(app)
                || keep.contains(&image.facts.id)
                || world.is_used(&image.facts.id)
        });
        world.images = left;
        world.release_sources(&removed);
        Ok(removed.len())
    }

    async fn images(&self, app: Option<&AppName>) -> Result<Vec<AppImage>, EngineError> {
        let world = self.reach()?;
        let images = world.images.iter();
        let of_apps = images.filter_map(|image| Some((image.app.clone()?, &image.facts)));
        Ok(of_apps
            .filter(|(owner, _)| app.is_none_or(|app| app == owner))
            .map(|(app, facts)| AppImage {
                id: facts.id.clone(),
                app,
                size_bytes: facts.size_bytes,
                is_used: world.is_used(&facts.id),
            })
            .collect())
    }

    async fn remove_images(
        &self,
        app: &AppName,
        ids: &[ImageId],
    ) -> Result<Vec<ImageId>, EngineError> {
        let keep = self.images(Some(app)).await?;
        let (removed, keep): (Vec<AppImage>, Vec<AppImage>) = keep
            .into_iter()
            .partition(|image| ids.contains(&image.id) && !image.is_used);
        let keep: Vec<ImageId> = keep.into_iter().map(|image| image.id).collect();
        self.prune_images(app, &keep).await?;
        Ok(removed.into_iter().map(|image| image.id).collect())
    }

    async fn build_memory(&self) -> BuildMemory {
        self.world()
            .build_memory
            .clone()
            .unwrap_or_else(|| BuildMemory::Watched {
                by: "nothing that would be built".to_owned(),
            })
    }

    async fn build_cache(&self) -> Result<BuildCacheUse, EngineError> {
        let bytes = self.reach()?.cache_bytes;
        Ok(BuildCacheUse {
            bytes,
            removable_bytes: bytes,
        })
    }

    async fn shrink_build_cache(&self, keep_bytes: u64) -> Result<u64, EngineError> {
        let mut world = self.reach()?;
        let freed = world.cache_bytes.saturating_sub(keep_bytes);
        world.cache_bytes -= freed;
        Ok(freed)
    }

    async fn run(&self, spec: &OneOffSpec, io: OneOffIo) -> Result<u8, EngineError> {
        if self.image(spec.image.as_str()).await?.is_none() {
            return Err(EngineError::ImageMissing {
                image: spec.image.to_string(),
                said: format!("No such image: {}", spec.image),
            });
        }
        let OneOffIo {
            mut stdin, output, ..
        } = io;
        for act in script::read(&script::line_of(&spec.command)) {
            match act {
                Act::Say(stream, text) => {
                    // A terminal has one stream, and ends its lines as terminals do.
                    let piece = match spec.terminal {
                        Some(_) => (Stream::Stdout, format!("{text}\r\n").into()),
                        None => (stream, format!("{text}\n").into()),
                    };
                    let _ = output.send(piece).await;
                }
                Act::Copy if spec.has_stdin => {
                    while let Some(bytes) = stdin.recv().await {
                        let _ = output.send((Stream::Stdout, bytes)).await;
                    }
                }
                Act::Copy => {}
                Act::Exit(code) => return Ok(u8::try_from(code).unwrap_or(u8::MAX)),
                Act::Stay => std::future::pending().await,
            }
        }
        Ok(0)
    }

    async fn apps(&self) -> Result<BTreeSet<AppName>, EngineError> {
        let world = self.reach()?;
        let of_processes = world.processes.values().map(|held| &held.process.app);
        let of_images = world.images.iter().filter_map(|image| image.app.as_ref());
        Ok(of_processes.chain(of_images).cloned().collect())
    }

    async fn remove_app(&self, app: &AppName, keep: &[ImageId]) -> Result<(), EngineError> {
        self.change(|world| {
            world.processes.retain(|_, held| held.process.app != *app);
            let images = std::mem::take(&mut world.images);
            let (removed, left): (Vec<Image>, Vec<Image>) = images.into_iter().partition(|image| {
                image.app.as_ref() == Some(app) && !keep.contains(&image.facts.id)
            });
            world.images = left;
            world.release_sources(&removed);
        })
    }

    async fn read_storage(&self, name: &StorageName) -> Result<FolderStream, EngineError> {
        let tar = self.reach()?.storage.get_mut(name).and_then(|tars| {
            let is_last = tars.len() == 1;
            if is_last {
                tars.front().cloned()
            } else {
                tars.pop_front()
            }
        });
        let tar = tar.ok_or_else(|| EngineError::Gone {
            what: format!("the folder of the storage `{name}`"),
        })?;
        Ok(stream::iter([Ok(Bytes::from(tar))]).boxed())
    }

    async fn settle_storage(&self) -> Result<(), EngineError> {
        self.reach().map(drop)
    }

    async fn remove_leftovers(&self) -> Result<(), EngineError> {
        self.reach().map(drop)
    }
}

impl MemoryEngine {
    fn keep_as_ours(&self, facts: ImageFacts) -> KeptImage {
        let id = facts.id.clone();
        let digits = id.as_str().trim_start_matches("sha256:");
        let name = format!("{KEPT_PREFIX}memory:{}", digits.get(..32).unwrap_or(digits));
        self.keep_image(None, &name, facts, None);
        KeptImage { id, name }
    }

    fn keep_image(
        &self,
        app: Option<&AppName>,
        reference: &str,
        facts: ImageFacts,
        source: Option<String>,
    ) {
        let mut world = self.world();
        world
            .images
            .retain(|image| image.reference != reference || image.facts.id != facts.id);
        world.images.push(Image {
            app: app.cloned(),
            reference: reference.to_owned(),
            facts,
            source,
        });
    }
}
