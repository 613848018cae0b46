//! Where a new mini knocks: `<data_dir>/run/takeover.sock`, for the server's own user and root.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};

use super::link::{self, Message, PROTOCOL, Receiver, Sender};
use super::sockets::{Listening, Role};
use crate::model::{Kind, Problem};
use crate::ssh::unix_socket;

/// How long who knocks may take to say what it wants.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// How long to wait after accepting failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The listening socket; its file goes when this is dropped, unless it was passed on.
#[derive(Debug)]
pub(in crate::boot) struct Door {
    listener: UnixListener,
    path: PathBuf,
    is_passed_on: bool,
}

/// A new mini that wants to take over.
pub(in crate::boot) struct Offer {
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
    /// Its process id, where the kernel tells.
    pub(super) pid: Option<i32>,
    pub(super) version: String,
    pub(super) wait: Duration,
}

/// Its place in a data directory.
pub(super) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("run").join("takeover.sock")
}

impl Door {
    /// Makes it, or goes on with the one that was passed. Whoever calls holds the lock of the data directory.
    pub(in crate::boot) fn open(data_dir: &Path, passed: Option<OwnedFd>) -> io::Result<Door> {
        let path = path(data_dir);
        let listener = match passed {
            Some(socket) => StdUnixListener::from(socket),
            None => unix_socket::bind(&path)?,
        };
        listener.set_nonblocking(true)?;
        Ok(Door {
            listener: UnixListener::from_std(listener)?,
            path,
            is_passed_on: false,
        })
    }

    /// A second handle, to be passed on.
    pub(in crate::boot) fn duplicate(&self) -> io::Result<Listening> {
        Ok(Listening {
            role: Role::Door,
            address: None,
            is_inherited: false,
            sockets: vec![self.listener.as_fd().try_clone_to_owned()?],
        })
    }

    /// Says that another process has it from now on: its file stays.
    pub(in crate::boot) fn set_passed_on(&mut self) {
        self.is_passed_on = true;
    }

    /// The next one who may take over.
    pub(in crate::boot) async fn next(&self) -> Offer {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => match tokio::time::timeout(HELLO_WITHIN, hear(stream)).await {
                    Ok(Ok(offer)) => return offer,
                    Ok(Err(error)) => tracing::warn!(%error, "a takeover was refused"),
                    Err(_) => tracing::warn!("who wanted to take over has said nothing"),
                },
                Err(error) => {
                    tracing::warn!(%error, "accept failed on the socket for takeovers");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if !self.is_passed_on {
            let _ = fs::remove_file(&self.path);
        }
    }
}

async fn hear(stream: UnixStream) -> io::Result<Offer> {
    let peer = stream.peer_cred()?;
    let own = rustix::process::geteuid().as_raw();
    let (mut sender, mut receiver) = link::ends(stream);
    if peer.uid() != own && peer.uid() != 0 {
        let next = "Run it as the user of the running server, or with `sudo`";
        let why = "only the user it runs as and root may";
        let text = "This server may not be taken over by you";
        return refuse(&mut sender, Problem::new(Kind::Forbidden, text, why, next)).await;
    }
    match receiver.receive().await? {
        Some(Message::Hello {
            protocol: PROTOCOL,
            version,
            wait_ms,
        }) => Ok(Offer {
            sender,
            receiver,
            pid: peer.pid(),
            version,
            wait: Duration::from_millis(wait_ms),
        }),
        _ => {
            let why = format!(
                "it is mini {}, whose takeovers have the form {PROTOCOL}",
                crate::VERSION
            );
            let next = "Stop it and start the new one; apps keep running meanwhile";
            let text = "The running server cannot be taken over by this version";
            refuse(
                &mut sender,
                Problem::new(Kind::Unavailable, text, why, next),
            )
            .await
        }
    }
}

async fn refuse(sender: &mut Sender, problem: Problem) -> io::Result<Offer> {
    let error = io::Error::other(problem.why.clone());
    sender.send(&Message::Refused { problem }, &[]).await?;
    Err(error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    async fn knock(data_dir: &Path, protocol: u32) -> (Sender, Receiver) {
        let stream = unix_socket::connect(&path(data_dir)).unwrap();
        stream.set_nonblocking(true).unwrap();
        let (mut sender, receiver) = link::ends(UnixStream::from_std(stream).unwrap());
        let hello = Message::Hello {
            protocol,
            version: "9".to_owned(),
            wait_ms: 1500,
        };
        sender.send(&hello, &[]).await.unwrap();
        (sender, receiver)
    }

    #[tokio::test]
    async fn another_form_is_refused_and_the_next_one_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("run")).unwrap();
        let door = Door::open(folder.path(), None).unwrap();
        let mode = fs::metadata(path(folder.path())).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        let (_sender, mut refused) = knock(folder.path(), PROTOCOL + 1).await;
        let _second = knock(folder.path(), PROTOCOL).await;
        let offer = door.next().await;
        assert_eq!(
            (offer.version.as_str(), offer.wait),
            ("9", Duration::from_millis(1500))
        );
        assert_eq!(offer.pid, Some(std::process::id().cast_signed()));
        let answer = refused.receive().await.unwrap();
        assert!(
            matches!(&answer, Some(Message::Refused { problem }) if problem.next.contains("Stop it")),
            "{answer:?}"
        );
    }

    #[tokio::test]
    async fn the_file_goes_with_its_owner_unless_it_was_passed_on() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("run")).unwrap();
        let mut first = Door::open(folder.path(), None).unwrap();
        let socket = first.duplicate().unwrap().sockets.pop();
        let second = Door::open(folder.path(), socket).unwrap();
        first.set_passed_on();
        drop(first);
        assert!(path(folder.path()).exists());
        let _knocking = knock(folder.path(), PROTOCOL).await;
        second.next().await;
        drop(second);
        assert!(!path(folder.path()).exists());
    }
}
