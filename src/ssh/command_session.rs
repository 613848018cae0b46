//! A command at work: its input, its output, its exit status.

use bytes::Bytes;
use russh::ChannelReadHalf;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::inbox::{self, Echo, Inbox};
use super::outbox::{Gone, Outbox};
use super::server::Shared;
use super::spool::SpoolLimits;
use super::terminal::Display;
use crate::commands::{INTERRUPTED, PIECE_BYTES, Session};
use crate::engine::{Stream, TerminalSize};
use crate::model::{Caller, Kind, Problem};

/// Pieces of output between a command and the connection.
const ITEMS: usize = 64;

/// What a command begins with.
pub(super) struct Start {
    pub(super) line: String,
    pub(super) caller: Caller,
    pub(super) read: ChannelReadHalf,
    pub(super) limits: SpoolLimits,
    pub(super) size: Option<TerminalSize>,
    /// The client has a terminal and the command none: the simple line terminal stands between.
    pub(super) is_cooked: bool,
    pub(super) over: CancellationToken,
}

/// Runs a command and ends the channel with its exit status.
pub(super) async fn run(start: Start, outbox: Outbox, shared: &Shared) {
    let (sender, output) = mpsc::channel(ITEMS);
    let hidden = start.is_cooked.then(|| watch::Sender::new(false));
    let echo = hidden.as_ref().map(|hidden| Echo {
        output: sender.clone(),
        hidden: hidden.subscribe(),
    });
    let over = start.over;
    let Inbox { input, cut, size } =
        inbox::open(start.read, start.limits, start.size, echo, over.clone());
    let session = Session {
        caller: start.caller,
        stdin: input,
        cut,
        output: sender,
        terminal: size,
        hidden,
    };
    // A task of its own, so that a panic ends one command and not the channel without a word.
    let command = tokio::spawn((shared.doors.run)(start.line, session));
    let display = start.is_cooked.then(Display::default);
    let ended = forward(command, output, display, &outbox, (shared, &over)).await;
    let exit_status = match ended {
        Ok(status) => status,
        Err(error) => {
            tracing::error!(error = %error, "a command ended without an exit status");
            let problem = Problem::new(
                Kind::Internal,
                "The command failed through a fault of the server",
                "",
                "the server's log says more",
            );
            // A client that is gone needs no text.
            let _ = outbox.say(problem.to_terminal()).await;
            problem.exit_code()
        }
    };
    tokio::select! {
        biased;
        () = outbox.finish(exit_status.into()) => {}
        () = shared.gives_up() => {}
    }
}

/// Forwards output until the command has ended and all of it is out, or until the client is gone: then the command sees
/// its output closed, and is waited for. A client that takes no more of what a command has left behind is as good as gone once the
/// server is about to end.
async fn forward(
    mut command: JoinHandle<u8>,
    mut output: mpsc::Receiver<(Stream, Bytes)>,
    mut display: Option<Display>,
    outbox: &Outbox,
    (shared, over): (&Shared, &CancellationToken),
) -> Result<u8, tokio::task::JoinError> {
    let mut ended = None;
    let mut is_cut = false;
    'forward: loop {
        let item = tokio::select! {
            biased;
            item = output.recv() => item,
            result = &mut command, if ended.is_none() => {
                // What it has sent is still in the channel; what a task it left behind would send is not awaited.
                output.close();
                ended = Some(result);
                continue;
            }
            () = over.cancelled() => break,
        };
        let Some((stream, bytes)) = item else { break };
        let bytes = match &mut display {
            Some(display) => display.show(&bytes),
            None => bytes,
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(PIECE_BYTES));
            let gives_up = async {
                if ended.is_none() {
                    ended = Some((&mut command).await);
                }
                shared.gives_up().await;
            };
            let sent = tokio::select! {
                biased;
                sent = outbox.send(stream, piece) => sent,
                () = gives_up => {
                    is_cut = true;
                    Err(Gone)
                }
            };
            if ended.is_some() {
                output.close();
            }
            if sent == Err(Gone) {
                break 'forward;
            }
        }
    }
    drop(output);
    match ended {
        // What the client has is not the whole.
        Some(Ok(0)) if is_cut => Ok(INTERRUPTED),
        Some(result) => result,
        None => command.await.map(|status| match status {
            0 if over.is_cancelled() => INTERRUPTED,
            status => status,
        }),
    }
}
