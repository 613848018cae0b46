//! A command with a live session over an upgraded connection, the server's side.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio_util::codec::Framed;
use tokio_util::sync::CancellationToken;

use super::frame::{Frame, FrameCodec};
use super::server::Reached;
use crate::commands::{self, AnyCommand, Cut, Options, PIECE_BYTES, Session};
use crate::engine::{Stream, TerminalSize};
use crate::model::{Kind, Problem};

/// Chunks of input that may wait for a command that does not read.
const WAITING_INPUT: usize = 64;
/// Chunks of output that may wait for a slow reader.
const WAITING_OUTPUT: usize = 64;

/// How long to say nothing before it is looked whether the caller is still there.
const PROBE: Duration = Duration::from_secs(10);

/// The first frame's content.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Start {
    /// The command with its arguments.
    #[serde(flatten)]
    pub command: AnyCommand,
    /// What is asked of every command alike.
    pub options: Options,
    /// The terminal whose keys will come one by one, if any.
    pub terminal: Option<TerminalSize>,
    /// Whether a person types at a terminal.
    #[serde(default)]
    pub is_typed: bool,
}

/// Waits for the upgrade and runs the command it brings.
pub(super) async fn run(upgrade: OnUpgrade, name: String, reached: Reached) {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(%error, "a session of the API did not come about");
            return;
        }
    };
    converse(TokioIo::new(upgraded), &name, reached).await;
}

async fn converse<S>(stream: S, name: &str, reached: Reached)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sink, mut incoming) = Framed::new(stream, FrameCodec).split();
    let start = match incoming.next().await {
        Some(Ok(Frame::Start(json))) => serde_json::from_slice::<Start>(&json)
            .map_err(|error| error.to_string())
            .and_then(|start| {
                let is_meant = start.command.name() == name;
                is_meant
                    .then_some(start)
                    .ok_or_else(|| "the path names another command".to_owned())
            }),
        Some(Ok(_)) => Err("the command was expected first".to_owned()),
        Some(Err(error)) => Err(error.to_string()),
        None => return,
    };
    let start = match start {
        Ok(start) => start,
        Err(why) => {
            // The program and the server may be of different versions.
            let problem = Problem::new(
                Kind::Usage,
                "The server did not understand the command",
                why,
                "Use the `mini` program of the version the server has",
            );
            let said = Frame::Output(Stream::Stderr, problem.to_terminal().into());
            let _ = sink.send(said).await;
            let _ = sink.send(Frame::Exit(problem.exit_code())).await;
            return;
        }
    };

    let (typed, stdin) = mpsc::channel(WAITING_INPUT);
    let cut = Cut::default();
    let (output, mut said) = mpsc::channel(WAITING_OUTPUT);
    let (resized, terminal) = watch::channel(start.terminal);
    let (hiding, mut hidden) = watch::channel(false);
    let session = Session {
        caller: reached.door.caller(),
        stdin,
        cut: cut.clone(),
        output,
        terminal,
        hidden: start.is_typed.then_some(hiding),
    };
    let has_ended = CancellationToken::new();
    let end = has_ended.clone().drop_guard();
    let platform = reached.platform.clone();
    let command = tokio::spawn(async move {
        let _end = end;
        commands::run_command(&reached.platform, start.command, start.options, session).await
    });
    let mut typed = Some(typed);
    let listening = async {
        while let Some(Ok(frame)) = incoming.next().await {
            match frame {
                Frame::Stdin(bytes) => {
                    if let Some(typed) = &typed {
                        // A command that has ended its reading lets the rest fall.
                        let _ = typed.send(bytes).await;
                    }
                }
                Frame::StdinEnd => typed = None,
                Frame::Resize(size) => {
                    let _ = resized.send(Some(size));
                }
                Frame::Start(_) | Frame::Output(..) | Frame::Hide(_) | Frame::Exit(_) => break,
            }
        }
    };
    let speaking = async {
        let (mut stream, mut rest) = (Stream::Stdout, Bytes::new());
        loop {
            let frame = tokio::select! {
                biased;
                () = std::future::ready(()), if !rest.is_empty() => {
                    Frame::Output(stream, rest.split_to(rest.len().min(PIECE_BYTES)))
                }
                // First: what is said next may be the prompt.
                Ok(()) = hidden.changed() => Frame::Hide(*hidden.borrow_and_update()),
                next = said.recv() => match next {
                    Some(next) => {
                        (stream, rest) = next;
                        continue;
                    }
                    None => return true,
                },
                // One who has sent more than the command reads is not heard when they leave; nothing can be written to them.
                () = tokio::time::sleep(PROBE) => Frame::Output(Stream::Stderr, Bytes::new()),
            };
            // A command at work is waited for as long as the server can wait; the end of one is not.
            let gives_up = async {
                has_ended.cancelled().await;
                platform.gives_up().await;
            };
            let is_taken = tokio::select! {
                sent = sink.send(frame) => sent.is_ok(),
                () = gives_up => false,
            };
            if !is_taken {
                return false;
            }
        }
    };
    let is_listened_to = tokio::select! {
        is_listened_to = speaking => is_listened_to,
        () = listening => false,
    };
    // The command learns from this that its caller has gone; what it does about that is its own matter, and waited for.
    drop(said);
    if typed.is_some() {
        cut.set();
    }
    drop(typed);
    let code = command.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a command ended with a panic");
        1
    });
    if !is_listened_to {
        return;
    }
    let last_word = async {
        let _ = sink.send(Frame::Exit(code)).await;
        let _ = sink.close().await;
    };
    tokio::select! {
        biased;
        () = last_word => {}
        () = platform.gives_up() => {}
    }
}
