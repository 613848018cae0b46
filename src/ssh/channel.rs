//! One channel, from its opening to its close: what was asked for, and who does it.

use std::sync::Arc;

use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::git_session::Service;
use super::inbox::{self, terminal_size};
use super::outbox::Outbox;
use super::request::{Asked, is_env_accepted, read_exec};
use super::server::Shared;
use super::{command_session, git_session};
use crate::engine::TerminalSize;
use crate::model::{Caller, Kind, Problem};

/// The words run for a shell request: there is no shell, so the greeting is the help.
const GREETING: &str = "help";

/// What a client said before its exec or shell request.
#[derive(Debug, Default)]
struct Request {
    protocol: Option<String>,
    size: Option<TerminalSize>,
}

/// Serves a channel to its end.
pub(super) async fn serve(channel: Channel<Msg>, caller: Caller, shared: Arc<Shared>) {
    let (mut read, write) = channel.split();
    let mut request = Request::default();
    let over = CancellationToken::new();
    let outbox = Outbox::new(write, over.clone());
    let asked = tokio::select! {
        biased;
        () = shared.stop.cancelled() => return refuse(outbox, &stopping()).await,
        asked = timeout(shared.settings.login_grace, gather(&mut read, &mut request)) => asked,
    };
    let asked = match asked {
        Ok(Some(asked)) => asked,
        Ok(None) => return,
        Err(_) => return refuse(outbox, &nothing_asked()).await,
    };
    let mut limits = shared.spool_limits();
    let (service, name) = match asked {
        Asked::Words(line) => {
            let is_cooked = request.size.is_some() && !(shared.doors.takes_terminal)(&line);
            let start = command_session::Start {
                line,
                caller,
                read,
                limits,
                size: request.size,
                is_cooked,
                over,
            };
            return command_session::run(start, outbox, &shared).await;
        }
        Asked::ReceivePack(name) => (Service::ReceivePack, name),
        Asked::UploadPack(name) => (Service::UploadPack, name),
        Asked::UploadArchive => return refuse(outbox, &no_archive()).await,
        Asked::NotText => return refuse(outbox, &not_text()).await,
        Asked::TooLong => return refuse(outbox, &too_long()).await,
    };
    let app = match name {
        Ok(app) => app,
        Err(error) => return refuse(outbox, &error.into()).await,
    };
    if service == Service::ReceivePack {
        // receive-pack reads all of a pack before it says anything, so back-pressure is enough and no copy on disk is made.
        limits.total_bytes = limits.memory_bytes;
    }
    let inbox = inbox::open(read, limits, None, None, over.clone());
    let start = git_session::Start {
        service,
        app,
        caller,
        protocol: request.protocol,
        input: inbox.input,
        over,
    };
    git_session::run(start, outbox, &shared).await;
}

/// Reads what comes before a channel's work begins. The handler of the login has answered each request already, by the
/// same rules. `None` when the client left instead.
async fn gather(read: &mut ChannelReadHalf, request: &mut Request) -> Option<Asked> {
    while let Some(message) = read.wait().await {
        match message {
            ChannelMsg::SetEnv {
                variable_name,
                variable_value,
                ..
            } if variable_name == "GIT_PROTOCOL"
                && is_env_accepted(&variable_name, &variable_value) =>
            {
                request.protocol = Some(variable_value);
            }
            ChannelMsg::RequestPty {
                col_width,
                row_height,
                ..
            } => request.size = Some(terminal_size(col_width, row_height)),
            ChannelMsg::WindowChange {
                col_width,
                row_height,
                ..
            } if request.size.is_some() => {
                request.size = Some(terminal_size(col_width, row_height));
            }
            ChannelMsg::Exec { command, .. } => return Some(read_exec(&command)),
            ChannelMsg::RequestShell { .. } => return Some(Asked::Words(GREETING.to_owned())),
            ChannelMsg::Close => return None,
            _ => {}
        }
    }
    None
}

/// Says a problem and ends the channel.
pub(super) async fn refuse(outbox: Outbox, problem: &Problem) {
    // A client that is gone needs no text.
    let _ = outbox.say(problem.to_terminal()).await;
    outbox.finish(problem.exit_code().into()).await;
}

fn stopping() -> Problem {
    Problem::new(
        Kind::Unavailable,
        "The server is stopping",
        "it finishes what it has begun and takes nothing new",
        "try again in a moment",
    )
}

/// A session that is for nothing would keep a server that gives way to its successor waiting.
fn nothing_asked() -> Problem {
    Problem::new(
        Kind::Usage,
        "The session is closed",
        "it was opened, and no command was sent in it",
        "open one when there is a command to run",
    )
}

fn no_archive() -> Problem {
    Problem::new(
        Kind::Usage,
        "`git archive --remote` is not offered",
        "",
        "clone the repository and run `git archive` there",
    )
}

fn not_text() -> Problem {
    Problem::new(
        Kind::Usage,
        "The command is not valid UTF-8",
        "",
        "type it in UTF-8; binary values go through standard input",
    )
}

fn too_long() -> Problem {
    Problem::new(
        Kind::Usage,
        "The command is too long",
        format!(
            "{} bytes are taken at most",
            super::request::EXEC_LIMIT_BYTES
        ),
        "send large values through standard input",
    )
}
