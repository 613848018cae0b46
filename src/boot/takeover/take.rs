//! The new server's side.

use std::collections::BTreeSet;
use std::io;

use tokio::net::UnixStream;
use tokio::sync::watch;

use super::door;
use super::link::{self, Message, PROTOCOL, Receiver, Sender};
use super::sockets::Passed;
use crate::boot::settings::Settings;
use crate::model::{Kind, Problem};
use crate::ssh::unix_socket;

/// What was taken over.
pub(in crate::boot) struct Taken {
    pub passed: Passed,
    /// The upstreams that the server before may still send requests to.
    pub in_use: BTreeSet<String>,
    sender: Sender,
    receiver: Receiver,
}

/// Asks the server of the data directory to hand over, and waits until it has. `None` when there is no server.
/// Cancelled before it returns, the running server goes on.
pub(in crate::boot) async fn take(settings: &Settings) -> Result<Option<Taken>, Problem> {
    let stream = match connect(settings) {
        Ok(stream) => stream,
        Err(error) => {
            return match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                _ => Err(unreachable(settings, &error)),
            };
        }
    };
    let (mut sender, mut receiver) = link::ends(stream);
    let wait = settings
        .takeover_wait
        .unwrap_or(settings.build_limits.timeout);
    let hello = Message::Hello {
        protocol: PROTOCOL,
        version: crate::VERSION.to_owned(),
        wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
    };
    sender.send(&hello, &[]).await.map_err(|e| lost(&e))?;
    tracing::info!("the running server is asked to hand over");
    let mut passed = Passed::default();
    loop {
        match receiver.receive().await.map_err(|e| lost(&e))? {
            Some(Message::Refused { problem }) => return Err(problem),
            Some(Message::Waiting { until }) => {
                tracing::info!(limit = ?wait, "the running server finishes first: {until}");
            }
            Some(Message::Listening {
                role,
                address,
                is_inherited,
                sockets,
            }) => passed
                .add((role, address, is_inherited), sockets, &mut receiver)
                .map_err(|e| lost(&e))?,
            Some(Message::Yours { in_use }) => {
                tracing::info!("the running server has handed over");
                return Ok(Some(Taken {
                    passed,
                    in_use,
                    sender,
                    receiver,
                }));
            }
            Some(
                Message::Hello { .. } | Message::Ready | Message::Withdrawn | Message::InUse { .. },
            ) => return Err(lost(&io::ErrorKind::InvalidData.into())),
            None => return Err(lost(&io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

fn connect(settings: &Settings) -> io::Result<UnixStream> {
    let stream = unix_socket::connect(&door::path(&settings.data_dir))?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

impl Taken {
    /// Resolves when the server before takes back what it gave, for this one was not ready in time; then this one has
    /// to end at once. Never once the server before is gone: then all depends on this one.
    pub(in crate::boot) async fn withdrawn(&mut self) -> Problem {
        loop {
            match self.receiver.receive().await {
                Ok(Some(Message::Withdrawn)) => {
                    return Problem::new(
                        Kind::Unavailable,
                        "The takeover took too long, and the server before goes on",
                        "this one was not ready in time",
                        "Look at what its log says above; then try again",
                    );
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => std::future::pending().await,
            }
        }
    }

    /// Says that this server accepts; from here on the server before only finishes what it has in flight. Keeps
    /// `used_before` true until it has ended.
    pub(in crate::boot) async fn ready(mut self, used_before: watch::Sender<BTreeSet<String>>) {
        if let Err(error) = self.sender.send(&Message::Ready, &[]).await {
            tracing::debug!(%error, "the server before is gone already");
        }
        loop {
            match self.receiver.receive().await {
                Ok(Some(Message::InUse { upstreams })) => {
                    used_before.send_replace(upstreams);
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        tracing::info!("the server before has ended");
        used_before.send_replace(BTreeSet::new());
    }
}

fn unreachable(settings: &Settings, error: &io::Error) -> Problem {
    Problem::new(
        Kind::Forbidden,
        "The running server cannot be asked to hand over",
        format!("{}: {error}", door::path(&settings.data_dir).display()),
        "Run this as the user of the running server, or with `sudo`",
    )
}

fn lost(error: &io::Error) -> Problem {
    Problem::new(
        Kind::Unavailable,
        "The running server did not hand over",
        format!("the connection to it ended: {error}"),
        "See what its log says; where it is gone, `mini server` starts anew",
    )
}
