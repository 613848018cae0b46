//! A push or a fetch: git's own program as a child, its three streams joined to the channel.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::channel::refuse;
use super::child_output;
use super::doors::no_such_app;
use super::outbox::Outbox;
use super::pushes::{self, Registered};
use super::server::Shared;
use crate::deploy::Push;
use crate::engine::Stream;
use crate::git::GitError;
use crate::model::{AppName, Caller, Kind, Problem};

/// The size a child's pipes are asked to have, bytes.
const PIPE_BYTES: usize = 1 << 20;

/// The exit status of a child that was ended by a signal, where git's own convention has none.
const KILLED: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    ReceivePack,
    UploadPack,
}

/// What a git session begins with.
pub(super) struct Start {
    pub(super) service: Service,
    pub(super) app: AppName,
    pub(super) caller: Caller,
    pub(super) protocol: Option<String>,
    pub(super) input: mpsc::Receiver<Bytes>,
    pub(super) over: CancellationToken,
}

/// Serves a push or a fetch and ends the channel with git's exit status.
pub(super) async fn run(start: Start, outbox: Outbox, shared: &Shared) {
    let (service, app) = (start.service, start.app.clone());
    let result = match service {
        Service::ReceivePack => receive(start, &outbox, shared).await,
        Service::UploadPack => upload(start, &outbox, shared).await,
    };
    match result {
        Ok(exit_status) => outbox.finish(exit_status).await,
        Err(problem) => return refuse(outbox, &problem).await,
    }
    if service == Service::ReceivePack {
        tidy(&app, shared).await;
    }
}

/// Nobody waits for it: the client has its exit status.
async fn tidy(app: &AppName, shared: &Shared) {
    tokio::select! {
        result = shared.doors.repositories.tidy(app) => if let Err(error) = result {
            tracing::warn!(%app, %error, "repository not tidied");
        },
        () = shared.stop.cancelled() => {}
    }
}

async fn upload(start: Start, outbox: &Outbox, shared: &Shared) -> Result<u32, Problem> {
    let repositories = &shared.doors.repositories;
    let claim = repositories.claim(&start.app).await;
    if !shared.doors.registry.has_app(&start.app).await? {
        return Err(no_such_app(&start.app));
    }
    repositories.create(&start.app).await.map_err(git_failed)?;
    drop(claim);
    let command = repositories.upload_pack(&start.app, start.protocol.as_deref());
    let mut child = Running::spawn(command, start.input)?;
    let served = async {
        tokio::join!(
            child_output::forward(child.stdout.take(), Stream::Stdout, outbox),
            child_output::forward(child.stderr.take(), Stream::Stderr, outbox),
        );
    };
    tokio::select! {
        () = served => {}
        // Nobody wants its work any more.
        () = start.over.cancelled() => child.kill_group(),
    }
    Ok(child.ended().await)
}

async fn receive(start: Start, outbox: &Outbox, shared: &Shared) -> Result<u32, Problem> {
    ensure_app(&start.app, outbox, shared).await?;
    let id = pushes::new_id().map_err(|error| internal(&error))?;
    let registered = shared.pushes.register(Push {
        id: id.clone(),
        app: start.app.clone(),
        caller: start.caller,
        options: Vec::new(),
    });
    let environment = BTreeMap::from([
        ("MINI_PUSH".to_owned(), id),
        ("MINI_HOOK_SOCKET".to_owned(), shared.hook_socket.clone()),
        ("MINI_BIN".to_owned(), shared.program.clone()),
    ]);
    let repositories = &shared.doors.repositories;
    let command = repositories.receive_pack(&start.app, start.protocol.as_deref(), &environment);
    let mut child = Running::spawn(command, start.input)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // A push is finished at its own pace, whether its client is slow, asleep or gone: the deploy belongs to the server.
    let (exit_status, (), ()) = tokio::join!(
        async {
            let exit_status = child.ended().await;
            settle(registered, exit_status, shared).await
        },
        child_output::spool(stdout, Stream::Stdout, outbox, shared.spool_limits()),
        child_output::spool(stderr, Stream::Stderr, outbox, shared.spool_limits()),
    );
    Ok(exit_status)
}

/// The child has ended: lets the pipeline finish what the hooks did not, and gives the exit status for the client.
async fn settle(registered: Registered, exit_status: u32, shared: &Shared) -> u32 {
    let Some(finished) = registered.finish() else {
        return exit_status;
    };
    shared.doors.pushes.settle(&finished.push).await;
    // git ignores how post-receive ends. The branch has moved, but a release that could not be switched to is not live,
    // and the exit status of `git push` is to say so.
    match exit_status {
        0 if finished.has_failed => 1,
        other => other,
    }
}

/// Makes sure the app and its repository exist. Both calls may be repeated, so a push that is cut off in between is
/// completed by the next one. One that somebody else is making is waited for.
async fn ensure_app(app: &AppName, outbox: &Outbox, shared: &Shared) -> Result<(), Problem> {
    let doors = &shared.doors;
    let _claim = match doors.repositories.try_claim(app) {
        Some(claim) => claim,
        None => {
            // A client that is gone needs no text.
            let waiting = format!(
                "-----> Waiting for the repository of {app}, which is being made or removed\n"
            );
            let _ = outbox.say(waiting).await;
            doors.repositories.claim(app).await
        }
    };
    if !doors.registry.has_app(app).await? {
        if !shared.settings.creates_apps {
            return Err(no_such_app(app));
        }
        doors.registry.create_app(app).await?;
        // A client that is gone needs no text.
        let _ = outbox.say(format!("-----> Creating {app}...\n")).await;
    }
    doors.repositories.create(app).await.map_err(git_failed)
}

/// A git child that is being fed.
struct Running {
    child: Child,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    feeding: JoinHandle<()>,
}

impl Running {
    fn spawn(mut command: Command, input: mpsc::Receiver<Bytes>) -> Result<Self, Problem> {
        let mut child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                git_failed(GitError::Missing("git is not installed".to_owned()))
            }
            _ => git_failed(GitError::Io(error)),
        })?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let stderr = child.stderr.take();
        widen(stdin.as_ref());
        widen(stdout.as_ref());
        Ok(Self {
            child,
            stdout,
            stderr,
            feeding: tokio::spawn(feed(input, stdin)),
        })
    }

    /// Waits for its end; the exit status.
    async fn ended(&mut self) -> u32 {
        let status = self.child.wait().await;
        self.feeding.abort();
        match status {
            Ok(status) => status
                .code()
                .and_then(|code| u32::try_from(code).ok())
                .unwrap_or(KILLED),
            Err(error) => {
                tracing::error!(error = %error, "git could not be waited for");
                KILLED
            }
        }
    }

    /// Ends the child and what it has started.
    fn kill_group(&self) {
        // None once it has been waited for, so the number is still its own.
        let group = self
            .child
            .id()
            .and_then(|group| i32::try_from(group).ok())
            .and_then(rustix::process::Pid::from_raw);
        if let Some(group) = group {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

async fn feed(mut input: mpsc::Receiver<Bytes>, stdin: Option<ChildStdin>) {
    let Some(mut stdin) = stdin else { return };
    while let Some(bytes) = input.recv().await {
        // A child that reads no more has said why on its standard error.
        if stdin.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// Larger pipes mean fewer switches between us and git (957 against 1046 MB/s, CRATES.md 14a). The system may refuse.
fn widen(pipe: Option<&impl std::os::fd::AsFd>) {
    if let Some(pipe) = pipe {
        let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES);
    }
}

fn git_failed(error: GitError) -> Problem {
    if let GitError::Missing(what) = &error {
        return Problem::new(
            Kind::Unavailable,
            "The server cannot run git",
            what.clone(),
            "install git on the server (2.29 or later)",
        );
    }
    internal(&error)
}

fn internal(error: &dyn std::error::Error) -> Problem {
    tracing::error!(error = %error, cause = ?error.source(), "a push or fetch could not be begun");
    Problem::new(
        Kind::Internal,
        "The server could not begin",
        error.to_string(),
        "try again; if it stays, the server's log says more",
    )
}
