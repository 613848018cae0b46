//! A push or a fetch: git's own program as a child, its three streams joined to the channel.

use std::collections::BTreeMap;
use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::channel::refuse;
use super::outbox::{Gone, Outbox};
use super::pushes::{self, Registered};
use super::server::Shared;
use crate::deploy::Push;
use crate::engine::Stream;
use crate::git::GitError;
use crate::model::{AppName, Caller, Kind, Problem};

/// Bytes read at once from a child, and the size its pipes are asked to have.
const READ_BYTES: usize = 64 * 1024;
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
    let result = match start.service {
        Service::ReceivePack => receive(start, &outbox, shared).await,
        Service::UploadPack => upload(start, &outbox, shared).await,
    };
    match result {
        Ok(exit_status) => outbox.finish(exit_status).await,
        Err(problem) => refuse(outbox, &problem).await,
    }
}

async fn upload(start: Start, outbox: &Outbox, shared: &Shared) -> Result<u32, Problem> {
    if !shared.doors.registry.has_app(&start.app).await? {
        return Err(no_such_app(&start.app));
    }
    let repositories = &shared.doors.repositories;
    repositories.create(&start.app).await.map_err(git_failed)?;
    let child = spawn(repositories.upload_pack(&start.app, start.protocol.as_deref()))?;
    Ok(join(child, start.input, outbox, WhenGone::Kill(start.over)).await)
}

async fn receive(start: Start, outbox: &Outbox, shared: &Shared) -> Result<u32, Problem> {
    ensure_app(&start.app, outbox, shared).await?;
    let doors = &shared.doors;
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
    let child =
        doors
            .repositories
            .receive_pack(&start.app, start.protocol.as_deref(), &environment);
    let child = spawn(child)?;
    let exit_status = join(child, start.input, outbox, WhenGone::Finish).await;
    settle(registered, exit_status, shared).await
}

/// The child has ended: lets the pipeline finish what the hooks did not, and gives the exit status for the client.
async fn settle(registered: Registered, exit_status: u32, shared: &Shared) -> Result<u32, Problem> {
    let Some(finished) = registered.finish() else {
        return Ok(exit_status);
    };
    shared.doors.pushes.settle(&finished.push).await;
    // git ignores how post-receive ends. The branch has moved, but a release that could not be switched to is not live,
    // and the exit status of `git push` is to say so.
    Ok(match exit_status {
        0 if finished.has_failed => 1,
        other => other,
    })
}

/// Makes sure the app and its repository exist. Both calls may be repeated, so a push that is cut off in between is
/// completed by the next one.
async fn ensure_app(app: &AppName, outbox: &Outbox, shared: &Shared) -> Result<(), Problem> {
    let doors = &shared.doors;
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

fn spawn(mut command: Command) -> Result<Child, Problem> {
    command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => git_failed(GitError::Missing("git is not installed".to_owned())),
        _ => git_failed(GitError::Io(error)),
    })
}

/// What becomes of the child when the client leaves.
enum WhenGone {
    /// It works for nobody: its whole process group is ended.
    Kill(CancellationToken),
    /// It goes on: its input is at its end and its output goes nowhere. The deploy belongs to the server.
    Finish,
}

/// Pipes until the child has ended and all its output is out.
async fn join(
    mut child: Child,
    input: mpsc::Receiver<Bytes>,
    outbox: &Outbox,
    when_gone: WhenGone,
) -> u32 {
    let group = child.id();
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    widen(stdin.as_ref());
    widen(stdout.as_ref());
    let feeding = tokio::spawn(feed(input, stdin));
    let output = async {
        tokio::join!(
            pipe(stdout, Stream::Stdout, outbox),
            pipe(stderr, Stream::Stderr, outbox),
        );
        child.wait().await
    };
    tokio::pin!(output);
    let status = match when_gone {
        WhenGone::Finish => output.await,
        WhenGone::Kill(over) => tokio::select! {
            status = &mut output => status,
            () = over.cancelled() => {
                kill_group(group);
                output.await
            }
        },
    };
    feeding.abort();
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

async fn feed(mut input: mpsc::Receiver<Bytes>, stdin: Option<ChildStdin>) {
    let Some(mut stdin) = stdin else { return };
    while let Some(bytes) = input.recv().await {
        // A child that reads no more has said why on its standard error.
        if stdin.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// Copies a child's stream to the client, and to nowhere once the client is gone: a full pipe would stop the child.
async fn pipe(source: Option<impl AsyncRead + Unpin>, stream: Stream, outbox: &Outbox) {
    let Some(mut source) = source else { return };
    let mut buffer = BytesMut::new();
    let mut is_gone = false;
    loop {
        buffer.reserve(READ_BYTES);
        match source.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let bytes = buffer.split().freeze();
        if !is_gone {
            is_gone = outbox.send(stream, bytes).await == Err(Gone);
        }
    }
}

/// Larger pipes mean fewer switches between us and git (957 against 1046 MB/s, CRATES.md 14a). The system may refuse.
fn widen(pipe: Option<&impl std::os::fd::AsFd>) {
    if let Some(pipe) = pipe {
        let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES);
    }
}

/// Ends the child and what it has started. Called before it is waited for, so the number is still its own.
fn kill_group(group: Option<u32>) {
    let group = group
        .and_then(|group| i32::try_from(group).ok())
        .and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

fn no_such_app(app: &AppName) -> Problem {
    Problem::new(
        Kind::NoSuchApp,
        format!("App {app} does not exist"),
        "",
        format!("create it with `apps:create {app}`, or see the names with `apps:list`"),
    )
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
