//! One-off processes: a container for one command, its ends in the caller's hands, gone afterwards.

use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerCreateResponse, Mount};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder, StartContainerOptions,
    WaitContainerOptions,
};
use bytes::Bytes;
use futures_util::StreamExt;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::attach::{Output, attach};
use super::container::{Attached, Container};
use super::errors::{About, is_network_missing};
use super::processes::forced_removal;
use super::{Inner, labels, random_word};
use crate::engine::{EngineError, OneOffIo, OneOffSpec, Stream, TerminalSize};

/// How long the output of an ended process may be silent before it is taken to be complete: Docker closes it then, but
/// has been seen to forget.
const SILENCE_AFTER_END: Duration = Duration::from_secs(2);
/// Ctrl-D.
const END_OF_INPUT: u8 = 4;

impl Inner {
    pub(super) async fn run(
        self: Arc<Self>,
        spec: &OneOffSpec,
        io: OneOffIo,
    ) -> Result<u8, EngineError> {
        let docker = self.connection.client().await?;
        let about = About::Start(spec.image.as_str());
        let mut is_again = false;
        let (lease, id, output, stdin) = loop {
            let network = self
                .networks
                .ensure(&self.connection, &docker, &spec.app)
                .await?;
            let mounts = self.mounts(&spec.mounts).await?;
            let mut lease = Lease::create(&docker, &self.instance, spec, &network, mounts);
            let id = lease
                .id()
                .await
                .map_err(|error| self.connection.error(error, about))?;
            let (output, stdin) = attach(
                &self.connection,
                &id,
                spec.has_stdin,
                spec.terminal.is_some(),
            )
            .await?;
            match docker
                .start_container(&id, None::<StartContainerOptions>)
                .await
            {
                Ok(()) => break (lease, id, output, stdin),
                // Somebody pruned networks while no process was in this one. Docker closes what was attached.
                Err(error) if is_network_missing(&error) && !is_again => {
                    is_again = true;
                    self.networks.forget(&spec.app);
                    lease.end().await;
                }
                Err(error) => return Err(self.connection.error(error, about)),
            }
        };
        let mut exit = docker.wait_container(&id, None::<WaitContainerOptions>);
        let exit = async { exit_status(exit.next().await) };
        let OneOffIo {
            stdin: typed,
            output: said,
            resize,
        } = io;
        let code = {
            // These two end with the process and are simply dropped then.
            let input = async {
                feed(stdin, typed, spec.has_stdin, spec.terminal.is_some()).await;
                std::future::pending::<()>().await;
            };
            let resizing = async {
                if let Some(size) = spec.terminal {
                    follow_size(&docker, &id, size, resize).await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                code = pump(output, said, exit) => code,
                () = input => None,
                () = resizing => None,
            }
        };
        lease.end().await;
        match code {
            Some(Ok(code)) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
            Some(Err(error)) => Err(self.connection.error(error, About::Container(&id))),
            None => Err(EngineError::Gone {
                what: format!("the one-off process of {}", spec.app),
            }),
        }
    }
}

/// Passes output on until the process has ended and nothing more comes, and gives its exit status. Output that nobody
/// wants any more is still read, so that the process is not held up.
async fn pump(
    mut output: Output,
    said: mpsc::Sender<(Stream, Bytes)>,
    exit: impl Future<Output = Option<Result<i64, Error>>>,
) -> Option<Result<i64, Error>> {
    let mut exit = std::pin::pin!(exit);
    let code = loop {
        tokio::select! {
            piece = output.next() => match piece {
                // A slow reader holds up the process here, which is what a pipe does.
                Some(piece) => drop(said.send(piece).await),
                None => break exit.await,
            },
            code = &mut exit => break code,
        }
    };
    while let Ok(Some(piece)) = tokio::time::timeout(SILENCE_AFTER_END, output.next()).await {
        drop(said.send(piece).await);
    }
    code
}

/// Docker's answer to a wait, of which bollard makes an error when the status is not 0.
fn exit_status(
    answer: Option<Result<bollard::models::ContainerWaitResponse, Error>>,
) -> Option<Result<i64, Error>> {
    Some(match answer? {
        Ok(answer) => Ok(answer.status_code),
        Err(Error::DockerContainerWaitError { code, .. }) => Ok(code),
        Err(error) => Err(error),
    })
}

/// Passes input on; at its end the process sees the end of its standard input.
async fn feed(
    mut stdin: WriteHalf<TokioIo<Upgraded>>,
    mut typed: mpsc::Receiver<Bytes>,
    has_stdin: bool,
    has_terminal: bool,
) {
    if !has_stdin {
        // Still held: closing this side would end the attachment.
        return std::future::pending().await;
    }
    while let Some(bytes) = typed.recv().await {
        if stdin.write_all(&bytes).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
    if has_terminal {
        // Docker closes the output of a terminal with its input, so what the process says would be lost (moby
        // `container/stream/attach.go`). A terminal knows the end of input as a key.
        let _ = stdin.write_all(&[END_OF_INPUT]).await;
        let _ = stdin.flush().await;
        return std::future::pending().await;
    }
    let _ = stdin.shutdown().await;
}

async fn follow_size(
    docker: &Docker,
    id: &str,
    first: TerminalSize,
    mut sizes: watch::Receiver<Option<TerminalSize>>,
) {
    let mut size = sizes.borrow_and_update().unwrap_or(first);
    loop {
        let options = ResizeContainerTTYOptionsBuilder::default()
            .w(i32::from(size.columns))
            .h(i32::from(size.rows))
            .build();
        // Fails when the process has just ended, which is no one's concern.
        let _ = docker.resize_container_tty(id, options).await;
        loop {
            if sizes.changed().await.is_err() {
                return;
            }
            if let Some(next) = *sizes.borrow_and_update() {
                size = next;
                break;
            }
        }
    }
}

/// A container that is removed when this is dropped, however far its making has come.
struct Lease {
    docker: Docker,
    name: String,
    /// Runs on its own, so that giving up while Docker is creating does not leave a container nobody knows.
    creation: Option<JoinHandle<Result<ContainerCreateResponse, Error>>>,
    is_over: bool,
}

impl Lease {
    fn create(
        docker: &Docker,
        instance: &str,
        spec: &OneOffSpec,
        network: &str,
        mounts: Vec<Mount>,
    ) -> Self {
        let name = format!("{}.{}.{}.{instance}", spec.app, spec.purpose, random_word());
        let mut labels = labels::of_app(instance, &spec.app, spec.purpose);
        labels.insert(labels::RELEASE.to_owned(), spec.release.0.to_string());
        let request = Container {
            image: spec.image.as_str(),
            command: (!spec.command.is_empty()).then(|| spec.command.clone()),
            environment: &spec.environment,
            labels,
            limits: spec.limits,
            network,
            alias: None,
            stop_timeout_seconds: None,
            attached: Some(Attached {
                has_stdin: spec.has_stdin,
                terminal: spec.terminal,
            }),
            mounts,
            options: &spec.options,
        }
        .request();
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let client = docker.clone();
        let creation =
            tokio::spawn(async move { client.create_container(Some(options), request).await });
        Self {
            docker: docker.clone(),
            name,
            creation: Some(creation),
            is_over: false,
        }
    }

    /// The container's id, once it exists.
    async fn id(&mut self) -> Result<String, Error> {
        let Some(creation) = self.creation.as_mut() else {
            return Ok(self.name.clone());
        };
        let created = creation
            .await
            .map_err(|error| Error::from(std::io::Error::other(error)))?;
        self.creation = None;
        Ok(created?.id)
    }

    /// Removes the container now.
    async fn end(mut self) {
        let _ = self
            .docker
            .remove_container(&self.name, forced_removal())
            .await;
        self.is_over = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let (docker, name, creation) = (
            self.docker.clone(),
            std::mem::take(&mut self.name),
            self.creation.take(),
        );
        // Without a runtime the process is ending; the next server's `remove_leftovers` finds the container.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Some(creation) = creation {
                    let _ = creation.await;
                }
                let _ = docker.remove_container(&name, forced_removal()).await;
            });
        }
    }
}
