//! The way from the machine's own SSH server to ours, `mini shell FINGERPRINT`: SSH once more, over a socket that only the user
//! of this server and root can open. What sshd was asked for is asked for again, in the name of the key it has checked.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::client::{self, Handle};
use russh::keys::PublicKeyOrCertificate;
use russh::{ChannelMsg, ChannelWriteHalf, Disconnect};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::{server, unix_socket};
use crate::engine::{Stream, TerminalSize};

/// How long to try while a server gives way to its successor: the socket is theirs one after the other.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);
/// The standard error of a session (RFC 4254, section 5.2).
const STDERR: u32 = 1;

/// What sshd was asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whose key it checked.
    pub fingerprint: String,
    /// The command; without one, a shell was asked for.
    pub command: Option<String>,
    /// Environment variables; the server takes those it knows.
    pub environment: Vec<(String, String)>,
}

/// The caller's side. The output ends with the command.
pub struct Ends {
    /// What is typed; ends with the sender.
    pub stdin: mpsc::Receiver<Bytes>,
    /// Where output goes.
    pub output: mpsc::Sender<(Stream, Bytes)>,
    /// The size of the terminal, if there is one, as it changes.
    pub terminal: watch::Receiver<Option<TerminalSize>>,
}

/// Why a request could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Nothing listens, or what listened went away and nothing came in its place.
    #[error("the server does not answer")]
    NotAnswering(#[source] io::Error),
    /// The socket belongs to somebody else.
    #[error("the socket of the server may not be used")]
    NotAllowed,
    /// The key may not log in, any more at least.
    #[error("the key may not log in")]
    Refused,
    /// The connection ended before the command did.
    #[error("the connection to the server ended")]
    Lost(#[from] russh::Error),
}

/// Carries out a request on the server of `data_dir`; returns the exit status.
///
/// # Errors
/// See [`LocalError`]. A server that is being replaced is waited for, half a minute at most.
pub async fn run(data_dir: &Path, request: Request, ends: Ends) -> Result<u8, LocalError> {
    let session = connect(data_dir, &request.fingerprint).await?;
    let channel = session.channel_open_session().await?;
    for (name, value) in &request.environment {
        channel
            .set_env(false, name.as_str(), value.as_str())
            .await?;
    }
    let size = *ends.terminal.borrow();
    if let Some(size) = size {
        let (columns, rows) = (size.columns.into(), size.rows.into());
        channel
            .request_pty(false, "", columns, rows, 0, 0, &[])
            .await?;
    }
    match &request.command {
        Some(command) => channel.exec(false, command.as_bytes()).await?,
        None => channel.request_shell(false).await?,
    }
    let (mut read, write) = channel.split();
    let mut typing = Box::pin(type_in(&write, ends.stdin, ends.terminal));
    let mut has_typed = false;
    let mut status = None;
    loop {
        let message = tokio::select! {
            message = read.wait() => message,
            typed = &mut typing, if !has_typed => {
                has_typed = true;
                typed?;
                continue;
            }
        };
        let piece = match message {
            Some(ChannelMsg::Data { data }) => (Stream::Stdout, data),
            Some(ChannelMsg::ExtendedData { data, ext: STDERR }) => (Stream::Stderr, data),
            Some(ChannelMsg::ExitStatus { exit_status }) => {
                status = Some(exit_status);
                continue;
            }
            Some(ChannelMsg::Close) | None => break,
            Some(_) => continue,
        };
        if ends.output.send(piece).await.is_err() {
            // Nobody reads any more: the server is to know it, by the end of the connection.
            break;
        }
    }
    // What it says to a farewell is of no use any more.
    let _ = session.disconnect(Disconnect::ByApplication, "", "").await;
    let status = status.ok_or(russh::Error::Disconnect)?;
    Ok(u8::try_from(status).unwrap_or(u8::MAX))
}

/// Sends what is typed, to its end, and each change of the terminal, without end.
async fn type_in(
    channel: &ChannelWriteHalf<client::Msg>,
    mut stdin: mpsc::Receiver<Bytes>,
    mut terminal: watch::Receiver<Option<TerminalSize>>,
) -> Result<(), russh::Error> {
    let mut is_open = true;
    loop {
        tokio::select! {
            typed = stdin.recv(), if is_open => match typed {
                Some(bytes) => channel.data_bytes(bytes).await?,
                None => {
                    is_open = false;
                    channel.eof().await?;
                }
            },
            changed = terminal.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let size = *terminal.borrow_and_update();
                if let Some(size) = size {
                    channel.window_change(size.columns.into(), size.rows.into(), 0, 0).await?;
                }
            }
        }
    }
}

/// A session in the name of a key.
async fn connect(data_dir: &Path, fingerprint: &str) -> Result<Handle<Trusting>, LocalError> {
    let path = data_dir.join("run").join(server::LOCAL_SOCKET);
    let until = Instant::now() + PATIENCE;
    loop {
        let error = match attempt(&path, fingerprint).await {
            Err(LocalError::NotAnswering(error)) => error,
            // It was in the queue of a server that ended.
            Err(LocalError::Lost(error)) => io::Error::other(error),
            result => return result,
        };
        if Instant::now() >= until {
            return Err(LocalError::NotAnswering(error));
        }
        sleep(PAUSE).await;
    }
}

async fn attempt(path: &Path, fingerprint: &str) -> Result<Handle<Trusting>, LocalError> {
    let stream = unix_socket::connect(path).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => LocalError::NotAllowed,
        _ => LocalError::NotAnswering(error),
    })?;
    let stream = stream
        .set_nonblocking(true)
        .and_then(|()| UnixStream::from_std(stream))
        .map_err(LocalError::NotAnswering)?;
    let mut session =
        client::connect_stream(Arc::new(client::Config::default()), stream, Trusting).await?;
    if session.authenticate_none(fingerprint).await?.success() {
        Ok(session)
    } else {
        Err(LocalError::Refused)
    }
}

/// Any host key is right: nobody but the server and root can have made the socket.
struct Trusting;

impl client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        _key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        Ok(true)
    }
}
