//! The server that is deployed to, and the way to it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, watch};

use super::super::host::{Host, no_ssh};
use crate::boot::client::WAITING_OUTPUT;
use crate::boot::{client, terminal};
use crate::commands::{Options, Parsed, parse};
use crate::engine::Stream;
use crate::http::{self, Ends, Invocation, NotAnswering};
use crate::model::{AppName, Kind, Problem};

/// The exit status of ssh where the connection failed (ssh(1), EXIT STATUS).
const CONNECTION_FAILED: u8 = 255;
/// Bytes of what it says that are shown at once.
const SHOWN_BYTES: usize = 16 * 1024;

/// A server.
#[derive(Debug)]
pub(super) enum Server {
    /// Reached over ssh.
    Ssh(Host),
    /// That of this machine.
    Local {
        /// Its data directory.
        data_dir: PathBuf,
        /// Whether it was asked for, or is only what is left.
        is_named: bool,
    },
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Server::Ssh(host) => host.fmt(f),
            Server::Local { .. } => f.write_str("the server of this machine"),
        }
    }
}

/// The answer to a short question.
#[derive(Debug)]
pub(super) struct Answer {
    /// The exit status.
    pub(super) code: u8,
    said: String,
}

impl Answer {
    /// Why it is none that was expected.
    pub(super) fn into_problem(self, server: &Server) -> Problem {
        let mut lines = self.said.lines().rev();
        let last = lines
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default();
        let why = last.trim_start_matches([' ', '!']).to_owned();
        if self.code == CONNECTION_FAILED {
            return unreached(server, why);
        }
        Problem::new(
            Kind::Unavailable,
            format!("{server} does not answer as a server of mini does"),
            why,
            "Check the host: `ssh HOST version` has to say the version of mini",
        )
    }
}

/// Why there is no exit status.
#[derive(Debug)]
pub(super) enum Lost {
    /// ssh could not be started.
    NoSsh(std::io::Error),
    /// The connection failed, or ended too early; ssh has said so.
    Connection {
        /// Whether the server had said anything by then.
        is_heard: bool,
    },
    /// The same of the server of this machine.
    Local(Problem),
}

impl Lost {
    /// What it means for the deploy, which goes on where the archive was sent to its end.
    pub(super) fn into_problem(self, server: &Server, app: &AppName, is_whole: bool) -> Problem {
        match self {
            Lost::NoSsh(error) => no_ssh(&error),
            Lost::Local(problem) => problem,
            Lost::Connection { is_heard: true } if is_whole => Problem::new(
                Kind::Unavailable,
                "The connection ended before the deploy did",
                "ssh says more above",
                format!(
                    "The deploy may go on; see it with {}",
                    server.line(&format!("builds:output {app} current"))
                ),
            ),
            Lost::Connection { .. } => unreached(server, "ssh says more above".to_owned()),
        }
    }
}

fn unreached(server: &Server, why: String) -> Problem {
    Problem::new(
        Kind::Unavailable,
        format!("Nothing was deployed: {server} could not be reached"),
        why,
        format!(
            "Try {} until it answers, then deploy again",
            server.line("version")
        ),
    )
}

impl Server {
    /// Where it is, if not here.
    pub(super) fn host(&self) -> Option<&Host> {
        match self {
            Server::Ssh(host) => Some(host),
            Server::Local { .. } => None,
        }
    }

    /// The line that runs a command there.
    pub(super) fn line(&self, command: &str) -> String {
        match self {
            Server::Ssh(host) => host.line(command),
            Server::Local { .. } => format!("`mini {command}`"),
        }
    }

    /// Runs a command without input, and keeps what it says.
    ///
    /// # Errors
    /// ssh cannot be run; there is no server here.
    pub(super) async fn ask(&self, words: &[&str]) -> Result<Answer, Problem> {
        match self {
            Server::Ssh(host) => {
                let ran = ssh(host, words)
                    .stdin(Stdio::null())
                    .output()
                    .await
                    .map_err(|error| no_ssh(&error))?;
                let said = String::from_utf8_lossy(&ran.stderr).into_owned();
                Ok(Answer {
                    code: status(ran.status),
                    said,
                })
            }
            Server::Local { data_dir, is_named } => {
                let mut said = String::new();
                let keep = |_, bytes: &Bytes| said.push_str(&String::from_utf8_lossy(bytes));
                let none = mpsc::channel(1).1;
                let code = converse((data_dir, *is_named), words, none, keep).await?;
                Ok(Answer { code, said })
            }
        }
    }

    /// Runs a command that reads `input`, shows what it says, and gives its exit status. If dropped, the caller has left.
    pub(super) async fn run(
        &self,
        words: &[&str],
        input: mpsc::Receiver<Bytes>,
    ) -> Result<u8, Lost> {
        match self {
            Server::Ssh(host) => {
                let mut child = ssh(host, words)
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .kill_on_drop(true)
                    .spawn()
                    .map_err(Lost::NoSsh)?;
                let feeding = feed(child.stdin.take(), input);
                let showing = show(child.stdout.take());
                let ending = async {
                    tokio::select! {
                        // It takes no more, or has it all.
                        () = feeding => child.wait().await,
                        status = child.wait() => status,
                    }
                };
                let (status, is_heard) = tokio::join!(ending, showing);
                match self::status(status.map_err(Lost::NoSsh)?) {
                    CONNECTION_FAILED => Err(Lost::Connection { is_heard }),
                    code => Ok(code),
                }
            }
            Server::Local { data_dir, is_named } => {
                let show = |stream, bytes: &Bytes| {
                    // Nobody there to read it: the deploy goes on.
                    let _ = terminal::write(stream, bytes);
                };
                let code = converse((data_dir, *is_named), words, input, show).await;
                code.map_err(Lost::Local)
            }
        }
    }
}

/// A session with the server of this machine.
async fn converse(
    (data_dir, is_named): (&Path, bool),
    words: &[&str],
    stdin: mpsc::Receiver<Bytes>,
    mut heard: impl FnMut(Stream, &Bytes),
) -> Result<u8, Problem> {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    let (command, options) = match parse(words, Options::default()) {
        Parsed::Command(command, options) => (command, options),
        Parsed::Text {
            stream,
            text,
            exit_code,
        } => {
            heard(stream, &Bytes::from(text));
            return Ok(exit_code);
        }
    };
    let (output, mut said) = mpsc::channel(WAITING_OUTPUT);
    let ends = Ends {
        stdin,
        output,
        terminal: watch::channel(None).1,
        hidden: watch::channel(false).0,
    };
    let invocation = Invocation {
        command,
        options,
        terminal: None,
        is_typed: false,
    };
    let mut running = Box::pin(http::run(data_dir, invocation, ends));
    let mut ended = None;
    let answered = loop {
        tokio::select! {
            biased;
            part = said.recv() => match part {
                Some((stream, bytes)) => heard(stream, &bytes),
                None => break match ended.take() {
                    Some(result) => result,
                    None => running.as_mut().await,
                },
            },
            result = running.as_mut(), if ended.is_none() => {
                ended = Some(result);
                said.close();
            }
        }
    };
    answered.map_err(|error| match error {
        NotAnswering::NotRunning if !is_named => Problem::new(
            Kind::Usage,
            "Nothing was deployed: it is not known to which server",
            "no host was given, none is remembered for this folder, and no server runs on this machine",
            "Name the server once: mini deploy --host ssh://mini@SERVER:2222",
        ),
        error => client::not_answering(data_dir, &error),
    })
}

/// ssh without a terminal there.
fn ssh(host: &Host, words: &[&str]) -> Command {
    let mut command = Command::from(host.ssh("-T"));
    command.args(words);
    command
}

async fn feed(stdin: Option<ChildStdin>, mut input: mpsc::Receiver<Bytes>) {
    let Some(mut stdin) = stdin else { return };
    while let Some(bytes) = input.recv().await {
        // It has said why on its standard error.
        if stdin.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// Shows what the server says, and tells whether it was anything.
async fn show(stdout: Option<ChildStdout>) -> bool {
    let Some(mut stdout) = stdout else {
        return false;
    };
    let mut buffer = BytesMut::with_capacity(SHOWN_BYTES);
    let mut is_heard = false;
    // Not read to its end, it would be held up.
    while stdout
        .read_buf(&mut buffer)
        .await
        .is_ok_and(|length| length > 0)
    {
        is_heard = true;
        let _ = terminal::write(Stream::Stdout, &buffer);
        buffer.clear();
    }
    is_heard
}

/// An exit status as a shell has it.
fn status(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status
        .code()
        .or(status.signal().map(|signal| 128 + signal))
        .and_then(|code| u8::try_from(code).ok());
    code.unwrap_or(1)
}
