//! Builds: BuildKit inside Docker, its context streamed from us; Buildah where it is Podman that answers, which takes the context
//! as one archive.
//!
//! Docker gives the steps of a build with BuildKit no memory or CPU limit, whatever a request says, so none is sent: see
//! `step_memory` for what we do instead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{BuildImageOptions, BuildImageOptionsBuilder, BuilderVersion};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;

use super::Inner;
use super::build_progress::Progress;
use super::cgroups::Cgroups;
use super::connection::Builder;
use super::errors::About;
use super::file_sync::{DOCKERFILE, Files};
use super::json_lines::whole;
use super::labels::{self, Kind};
use super::session;
use super::step_memory::{LOOK_EVERY, Seen, StepMemory};
use super::task_stream::TaskStream;
use crate::engine::{BuildContext, BuildEvent, BuildMemory, BuildSpec, ContextStream, EngineError};

/// How long the upload of the context may take: Docker answers only afterwards. The caller has its own limit on a build.
const UPLOAD_LIMIT: Duration = Duration::from_secs(3600);
/// How many events wait for a slow reader.
const EVENTS_WAITING: usize = 256;

type Events = mpsc::Sender<Result<BuildEvent, EngineError>>;

/// Why the files of a build could not be sent, where that is so: what Docker says of it is about the connection.
type Unread = Arc<Mutex<Option<String>>>;

/// The Dockerfile's name where it is sent with the files; a name no repository is likely to use.
const IN_ARCHIVE: &str = ".mini.Dockerfile";
/// What Buildah reads before `.dockerignore`, and what it is to leave out: what is to be ignored by the app's own rules is not sent
/// (containerignore(5)).
const RULES: (&str, &str) = (".containerignore", ".mini.Dockerfile\n.containerignore\n");

/// A build that the engine can be asked for.
struct Prepared {
    docker: Docker,
    options: BuildImageOptions,
    /// What is sent with the request, if anything.
    archive: Option<ContextStream>,
    unread: Unread,
    /// How much memory its steps may use, where that is for us to watch.
    limit_bytes: Option<u64>,
}

/// How a build is sent.
#[derive(Clone, Copy)]
enum Sent<'a> {
    /// All over the session of this name.
    Over(&'a str),
    /// The files beside the session, in an archive.
    Beside(&'a str),
    /// All in an archive, to an engine that has no sessions.
    Alone,
}

impl Inner {
    pub(super) async fn build(
        self: Arc<Self>,
        spec: &BuildSpec,
        context: Arc<dyn BuildContext>,
    ) -> Result<BoxStream<'static, Result<BuildEvent, EngineError>>, EngineError> {
        // Nothing is begun for an engine that does not answer.
        self.connection.client().await?;
        let spec = spec.clone();
        let feed = move |events: Events| async move {
            let prepared = match self.prepare_build(&spec, context).await {
                Ok(prepared) => prepared,
                Err(error) => {
                    let _ = events.send(Err(error)).await;
                    return;
                }
            };
            let Prepared {
                docker,
                options,
                archive,
                unread,
                limit_bytes,
            } = prepared;
            let body = match archive {
                Some(archive) => bollard::body_try_stream(archive),
                None => bollard::body_full(Bytes::new()),
            };
            let mut answers = whole(docker.build_image(options, None, Some(body))).boxed();
            let mut progress = Progress::default();
            let mut memory = limit_bytes.map(StepMemory::new);
            let mut looks = tokio::time::interval(LOOK_EVERY);
            loop {
                let answer = tokio::select! {
                    answer = answers.next() => answer,
                    // This runtime is the build's own, so nobody waits for the files that are read.
                    _ = looks.tick(), if memory.is_some() => {
                        let seen = memory.as_mut().map(|memory| memory.look(progress.running()));
                        let event = match (seen, limit_bytes) {
                            (Some(Seen::TooMuch(step)), Some(limit_bytes)) => {
                                Err(EngineError::BuildOutOfMemory { step, limit_bytes })
                            }
                            (Some(Seen::Nothing(step)), _) => {
                                Ok(BuildEvent::Unwatched { step })
                            }
                            _ => continue,
                        };
                        self.note_watch(memory.as_ref());
                        let is_end = event.is_err();
                        if events.send(event).await.is_err() || is_end {
                            return;
                        }
                        continue;
                    }
                };
                let Some(answer) = answer else { break };
                match answer {
                    Ok(info) => {
                        for event in progress.take(info) {
                            if events.send(Ok(event)).await.is_err() {
                                return;
                            }
                        }
                    }
                    Err(error) => {
                        let unread = unread.lock().unwrap_or_else(PoisonError::into_inner).take();
                        let error = match unread {
                            Some(why) => unsent(&why),
                            None => self.build_failure(error, &progress),
                        };
                        if let EngineError::Unavailable { source, .. } = &error {
                            tracing::warn!(app = %spec.app, deploy = %spec.deploy, ?source, "the answer to a build broke off");
                        }
                        for line in progress.finish() {
                            let _ = events.send(Ok(line)).await;
                        }
                        let _ = events.send(Err(error)).await;
                        return;
                    }
                }
            }
            self.note_watch(memory.as_ref());
            for line in progress.finish() {
                let _ = events.send(Ok(line)).await;
            }
            let end = match progress.image() {
                Some(image) => Ok(BuildEvent::Done(self.settled(&spec, image).await)),
                None => Err(EngineError::Refused {
                    said: "the builder ended without an image".to_owned(),
                }),
            };
            let _ = events.send(end).await;
        };
        // The session is served by a task of that runtime and ends with it: else each build would leave a connection on which
        // Docker asks once a second whether we are well.
        Ok(TaskStream::spawn_apart(EVENTS_WAITING, feed).boxed())
    }

    /// Opens the session of a build, where there are sessions, and finds out how the build is to be sent. Blocks while the files
    /// are listed: the runtime is the build's own, so nobody waits.
    async fn prepare_build(
        &self,
        spec: &BuildSpec,
        context: Arc<dyn BuildContext>,
    ) -> Result<Prepared, EngineError> {
        let unread = Unread::default();
        // One session per build: with a shared one, daemons mix up the builds of two apps.
        let session = format!("mini-{}-{}", spec.deploy, super::random_word());
        let listed = context
            .files()
            .map_err(|error| unsent(&error.to_string()))?;
        let is_listed = listed.is_some();
        let files = listed.map(|listed| {
            let (context, noted) = (Arc::clone(&context), Arc::clone(&unread));
            Files::new(context, listed, &spec.dockerfile, noted)
        });
        let secrets = spec.secrets.clone();
        let is_open = session::serve(&self.connection, &session, secrets, files).await?;
        if !is_open && !spec.secrets.is_empty() {
            let ids = spec.secrets.keys().cloned().collect();
            return Err(EngineError::NoSecrets { ids });
        }
        let sent = match (is_open, is_listed) {
            (true, true) => Sent::Over(&session),
            (true, false) => Sent::Beside(&session),
            (false, _) => Sent::Alone,
        };
        let dockerfile = (IN_ARCHIVE, spec.dockerfile.as_str());
        let archive = match sent {
            Sent::Over(_) => None,
            Sent::Beside(_) => Some(archive(&*context, &[dockerfile], &unread)),
            Sent::Alone => Some(archive(&*context, &[dockerfile, RULES], &unread)),
        };
        let memory_limit_bytes = spec.memory_limit_bytes;
        let (builder, limit_bytes) = match sent {
            Sent::Over(_) | Sent::Beside(_) => (Builder::BuildKit, memory_limit_bytes),
            Sent::Alone => (Builder::Own { memory_limit_bytes }, None),
        };
        Ok(Prepared {
            docker: self.connection.build_client(UPLOAD_LIMIT, builder).await?,
            options: self.build_options(spec, sent),
            archive,
            unread,
            limit_bytes,
        })
    }

    /// What is known of whether steps can be watched.
    pub(super) async fn build_memory(&self) -> BuildMemory {
        let cgroups = Cgroups::of_system();
        let version = cgroups.version();
        // Fails only where the server ends.
        let trouble = tokio::task::spawn_blocking(move || cgroups.trouble()).await;
        let last = self
            .unwatched
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match (trouble.ok().flatten(), last.clone()) {
            (Some((why, remedy)), _) => BuildMemory::Unwatched {
                why,
                remedy: remedy.to_owned(),
            },
            (None, Some(step)) => BuildMemory::Unwatched {
                why: format!("of the step `{step}` nothing was seen in the cgroups at /sys/fs/cgroup"),
                remedy: "let mini run where dockerd does, in the same PID and cgroup namespaces, and not against a Docker of another machine".to_owned(),
            },
            (None, None) => BuildMemory::Watched {
                by: format!("cgroups of version {version}"),
            },
        }
    }

    /// Remembers whether the steps of a build could be watched, where that was seen.
    fn note_watch(&self, memory: Option<&StepMemory>) {
        let Some(memory) = memory else { return };
        let step = memory.unseen().map(str::to_owned);
        if step.is_none() && !memory.has_found() {
            return;
        }
        *self
            .unwatched
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = step;
    }

    fn build_options(&self, spec: &BuildSpec, sent: Sent<'_>) -> BuildImageOptions {
        let arguments: HashMap<String, String> = spec
            .arguments
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let options = match &spec.target {
            Some(target) => BuildImageOptionsBuilder::default().target(target),
            None => BuildImageOptionsBuilder::default(),
        };
        let mut labels = labels::of_app(&self.instance, &spec.app, Kind::Image.as_str());
        labels.insert(labels::RELEASE.into(), spec.release.0.to_string());
        if let Some(source) = &spec.source {
            labels.insert(labels::SOURCE.into(), source.clone());
        }
        let options = match sent {
            Sent::Over(session) => options
                .remote("client-session")
                .dockerfile(DOCKERFILE)
                .session(session),
            Sent::Beside(session) => options.dockerfile(IN_ARCHIVE).session(session),
            Sent::Alone => options.dockerfile(IN_ARCHIVE),
        };
        options
            .t(&spec.tag)
            .buildargs(&arguments)
            .labels(&labels)
            .nocache(spec.is_without_cache)
            .rm(true)
            .forcerm(true)
            // bollard opens a session of its own for the other; it is BuildKit all the same, see `build_client`.
            .version(BuilderVersion::BuilderV1)
            .build()
    }

    fn build_failure(&self, error: bollard::errors::Error, progress: &Progress) -> EngineError {
        match self.connection.error(error, About::Call) {
            EngineError::Refused { said } => progress.failure(said),
            other => other,
        }
    }
}

/// The files as one archive with the Dockerfile among them, for names that a session cannot send (it takes UTF-8 alone), and for
/// engines without one. An image that copies all of them has the Dockerfile, too, where BuildKit makes it.
fn archive(context: &dyn BuildContext, extra: &[(&str, &str)], unread: &Unread) -> ContextStream {
    let noted = Arc::clone(unread);
    let files = context.archive(extra);
    let files = files.inspect_err(move |error| {
        *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    });
    files.boxed()
}

fn unsent(why: &str) -> EngineError {
    EngineError::Refused {
        said: format!("the source could not be sent to the build: {why}"),
    }
}
