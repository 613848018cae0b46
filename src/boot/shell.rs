//! `mini shell FINGERPRINT`: what the machine's own SSH server starts for those who log in as mini on port 22.

use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::client::{BROKEN_PIPE, WAITING_OUTPUT, block_on, chosen, next};
use super::terminal;
use crate::model::{Kind, Problem};
use crate::ssh::local_client::{self, Ends, LocalError, Request};

/// Variables that clients may set through sshd (its AcceptEnv) and that the server knows.
const VARIABLES: [&str; 3] = ["GIT_PROTOCOL", "LANG", "LC_ALL"];

/// The exit status of a program that nobody waits for any more (128 + SIGHUP).
#[cfg(target_os = "linux")]
const HANGUP: i32 = 128 + 1;

/// Carries out what sshd was asked for (SSH_ORIGINAL_COMMAND, sshd(8)) in the name of the key in `words`.
pub(super) fn run(words: &[String], data_dir: Option<PathBuf>) -> Result<u8, Problem> {
    let [fingerprint] = words else {
        return Err(Problem::new(
            Kind::Usage,
            "`mini shell` is for the SSH server of this machine",
            "it takes the fingerprint of the key that has logged in",
            "See `mini help ssh-keys:authorized`",
        ));
    };
    end_with_parent();
    let environment = VARIABLES
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
        .collect();
    let request = Request {
        fingerprint: fingerprint.clone(),
        command: std::env::var("SSH_ORIGINAL_COMMAND").ok(),
        environment,
    };
    block_on(on_server(chosen(data_dir), request))
}

/// Ends this process with sshd's, which ends when it has lost its client: a command that says nothing would not find out. That
/// nobody reads any more is no sign of it, for git closes its ends before it asks for the exit status.
#[cfg(target_os = "linux")]
fn end_with_parent() {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    let parent = getppid();
    let is_set = set_parent_process_death_signal(Some(Signal::HUP)).is_ok();
    if is_set && getppid() != parent {
        std::process::exit(HANGUP);
    }
}

#[cfg(not(target_os = "linux"))]
fn end_with_parent() {}

async fn on_server(data_dir: PathBuf, request: Request) -> Result<u8, Problem> {
    let size = terminal::size();
    let (resized, terminal_size) = watch::channel(size);
    let (output, mut said) = mpsc::channel(WAITING_OUTPUT);
    let raw = size.and_then(|_| terminal::Raw::enter());
    let ends = Ends {
        stdin: terminal::stdin(),
        output,
        terminal: terminal_size,
    };
    let mut window = signal(SignalKind::window_change()).ok();
    let mut running = Box::pin(local_client::run(&data_dir, request, ends));
    let mut ended = None;
    let answered = loop {
        tokio::select! {
            biased;
            part = said.recv() => match part {
                Some((stream, bytes)) => if terminal::write(stream, &bytes).is_err() {
                    break Ok(BROKEN_PIPE);
                },
                None => match ended.take() {
                    Some(result) => break result,
                    None => break running.as_mut().await,
                },
            },
            result = running.as_mut(), if ended.is_none() => {
                ended = Some(result);
                said.close();
            }
            Some(()) = next(&mut window) => {
                resized.send_replace(terminal::size());
            }
        }
    };
    drop(running);
    drop(raw);
    answered.map_err(problem)
}

fn problem(error: LocalError) -> Problem {
    let why = match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    let (what, next) = match error {
        LocalError::NotAnswering(_) => (
            "mini is not running on this server",
            "Try again in a moment; its operator can see why with `systemctl status mini`",
        ),
        LocalError::NotAllowed => (
            "This login may not reach mini",
            "Its operator has to let the login of port 22 be the user that mini runs as",
        ),
        LocalError::Refused => (
            "This key may not log in to mini",
            "Ask its operator to add it: `ssh-keys:add`",
        ),
        LocalError::Lost(_) => (
            "The connection to the server ended before the command did",
            "What was begun may go on; look with `builds:list` or `ps:report`",
        ),
    };
    let kind = match error {
        LocalError::NotAllowed | LocalError::Refused => Kind::Forbidden,
        LocalError::NotAnswering(_) | LocalError::Lost(_) => Kind::Unavailable,
    };
    Problem::new(kind, what, why, next)
}
