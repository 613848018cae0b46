//! The `mini` program's side: a command goes to the server, its session comes back.

use std::io;
use std::path::Path;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, UPGRADE};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::{mpsc, watch};
use tokio_util::codec::Framed;

use super::frame::{Frame, FrameCodec};
use super::routes::{COMMANDS, PROTOCOL};
use super::session::Start;
use super::socket::connect;
use crate::commands::{AnyCommand, Options};
use crate::engine::{Stream, TerminalSize};

/// A command as the caller typed it.
#[derive(Debug)]
pub struct Invocation {
    /// The command with its arguments.
    pub command: AnyCommand,
    /// What is asked of every command alike.
    pub options: Options,
    /// The caller's terminal where its keys come one by one.
    pub terminal: Option<TerminalSize>,
    /// Whether the caller types at a terminal.
    pub is_typed: bool,
}

/// The caller's ends.
pub struct Ends {
    /// What they type; closed at the end.
    pub stdin: mpsc::Receiver<Bytes>,
    /// What they see.
    pub output: mpsc::Sender<(Stream, Bytes)>,
    /// The size of their terminal.
    pub terminal: watch::Receiver<Option<TerminalSize>>,
    /// Set while their terminal is not to show what they type.
    pub hidden: watch::Sender<bool>,
}

/// Why the server gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum NotAnswering {
    /// No server runs on the data directory.
    #[error("no server runs on this data directory")]
    NotRunning,
    /// There is one, or was, and the caller may not use its socket.
    #[error("the server's socket may not be used")]
    NotAllowed,
    /// The connection ended before the command did.
    #[error("the connection to the server ended before the command did")]
    Lost(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<io::Error> for NotAnswering {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotADirectory => NotAnswering::NotRunning,
            io::ErrorKind::PermissionDenied => NotAnswering::NotAllowed,
            _ => NotAnswering::Lost(Box::new(error)),
        }
    }
}

impl From<hyper::Error> for NotAnswering {
    fn from(error: hyper::Error) -> Self {
        NotAnswering::Lost(Box::new(error))
    }
}

/// Has the server of `data_dir` run a command and returns its exit status. If dropped, the server is told that the caller
/// has left.
pub async fn run(data_dir: &Path, invocation: Invocation, ends: Ends) -> Result<u8, NotAnswering> {
    let stream = connect(data_dir).await?;
    let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection.with_upgrades());
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("{COMMANDS}{}", invocation.command.name()))
        .header(HOST, "mini")
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, PROTOCOL)
        .body(Empty::<Bytes>::new())
        .map_err(|error| NotAnswering::Lost(Box::new(error)))?;
    let response = requests.send_request(request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let text = format!("the server answered {}", response.status());
        return Err(NotAnswering::Lost(text.into()));
    }
    let upgraded = hyper::upgrade::on(response).await?;
    let frames = Framed::new(TokioIo::new(upgraded), FrameCodec);
    let exit_code = converse(frames, invocation, ends).await;
    connection.abort();
    exit_code
}

async fn converse<S>(
    frames: Framed<S, FrameCodec>,
    invocation: Invocation,
    ends: Ends,
) -> Result<u8, NotAnswering>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (mut sink, mut incoming) = frames.split();
    let start = Start {
        command: invocation.command,
        options: invocation.options,
        terminal: invocation.terminal,
        is_typed: invocation.is_typed,
    };
    let start = serde_json::to_vec(&start).map_err(|error| NotAnswering::Lost(Box::new(error)))?;
    sink.send(Frame::Start(start.into())).await?;

    let Ends {
        mut stdin,
        output,
        mut terminal,
        hidden,
    } = ends;
    let sending = async move {
        let mut is_open = true;
        let mut is_sized = true;
        while is_open || is_sized {
            let frame = tokio::select! {
                typed = stdin.recv(), if is_open => match typed {
                    Some(bytes) => Frame::Stdin(bytes),
                    None => {
                        is_open = false;
                        Frame::StdinEnd
                    }
                },
                changed = terminal.changed(), if is_sized => match (changed, *terminal.borrow_and_update()) {
                    (Ok(()), Some(size)) => Frame::Resize(size),
                    (Ok(()), None) => continue,
                    (Err(_), _) => {
                        is_sized = false;
                        continue;
                    }
                },
            };
            // The other half learns of a broken connection too, and says so.
            if sink.send(frame).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let receiving = async {
        while let Some(frame) = incoming.next().await {
            match frame? {
                Frame::Output(stream, bytes) => {
                    // Nobody there to read it: the command goes on without.
                    let _ = output.send((stream, bytes)).await;
                }
                Frame::Hide(is_hidden) => {
                    hidden.send_replace(is_hidden);
                }
                Frame::Exit(code) => return Ok(code),
                Frame::Start(_) | Frame::Stdin(_) | Frame::StdinEnd | Frame::Resize(_) => break,
            }
        }
        Err(NotAnswering::Lost("the server closed it".into()))
    };
    tokio::select! {
        result = receiving => result,
        () = sending => Err(NotAnswering::Lost("nothing more could be sent".into())),
    }
}
