//! The connection between the two processes: each message is a length and JSON, some bring sockets along.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::retry_on_intr;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::sockets::Role;
use crate::model::Problem;

/// What both sides speak; raised when a message changes its meaning. Unknown fields are passed over.
pub(super) const PROTOCOL: u32 = 1;
/// Sockets that go with one message; the kernel takes 253 (SCM_MAX_FD, unix(7)).
pub(super) const SOCKETS_AT_ONCE: usize = 64;
/// The longest message: ids of 100,000 upstreams.
const LIMIT_BYTES: usize = 8 << 20;
/// Bytes read at once.
const PIECE_BYTES: usize = 64 << 10;

/// What is said.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum Message {
    /// The new one begins.
    Hello {
        protocol: u32,
        version: String,
        /// How long pushes, deploys and commands that go on are waited for.
        wait_ms: u64,
    },
    /// The running one will not.
    Refused { problem: Problem },
    /// What the running one still waits for.
    Waiting { until: String },
    /// One address, or a part of its sockets, which come along.
    Listening {
        role: Role,
        address: Option<SocketAddr>,
        /// They are from systemd and stand for all that the settings say about this role.
        is_inherited: bool,
        sockets: usize,
    },
    /// All sockets were passed and the data directory is free.
    Yours { in_use: BTreeSet<String> },
    /// The new one accepts.
    Ready,
    /// The new one took too long and is to end.
    Withdrawn,
    /// The upstreams that the one that leaves may still send requests to.
    InUse { upstreams: BTreeSet<String> },
}

/// The end that sends.
pub(super) struct Sender(Arc<UnixStream>);

/// The end that receives.
pub(super) struct Receiver {
    stream: Arc<UnixStream>,
    bytes: Vec<u8>,
    sockets: VecDeque<OwnedFd>,
}

/// Both ends of a connection.
pub(super) fn ends(stream: UnixStream) -> (Sender, Receiver) {
    let stream = Arc::new(stream);
    let receiver = Receiver {
        stream: Arc::clone(&stream),
        bytes: Vec::new(),
        sockets: VecDeque::new(),
    };
    (Sender(stream), receiver)
}

impl Sender {
    /// Sends a message and second handles on some sockets, at most [`SOCKETS_AT_ONCE`].
    pub(super) async fn send(
        &mut self,
        message: &Message,
        sockets: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let body = serde_json::to_vec(message)?;
        let length = u32::try_from(body.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut frame = length.to_be_bytes().to_vec();
        frame.extend(body);
        let (mut rest, mut sockets) = (frame.as_slice(), sockets);
        while !rest.is_empty() {
            let stream = &*self.0;
            let send = || send_some(stream, rest, sockets);
            let sent = stream.async_io(Interest::WRITABLE, send).await?;
            rest = rest.get(sent..).unwrap_or_default();
            // They went with the first byte.
            sockets = &[];
        }
        Ok(())
    }
}

fn send_some(stream: &UnixStream, bytes: &[u8], sockets: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_AT_ONCE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let bytes = [IoSlice::new(bytes)];
    Ok(retry_on_intr(|| {
        sendmsg(stream, &bytes, &mut control, SendFlags::NOSIGNAL)
    })?)
}

impl Receiver {
    /// The next message; `None` when the other side has ended. Cancelled, it loses nothing.
    pub(super) async fn receive(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some(message) = self.whole()? {
                return Ok(Some(message));
            }
            let (stream, bytes, sockets) = (&*self.stream, &mut self.bytes, &mut self.sockets);
            let receive = || receive_some(stream, bytes, sockets);
            if stream.async_io(Interest::READABLE, receive).await? == 0 {
                return match self.bytes.is_empty() {
                    true => Ok(None),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    /// Sockets that came with the last message.
    ///
    /// # Errors
    /// When fewer came.
    pub(super) fn take_sockets(&mut self, number: usize) -> io::Result<Vec<OwnedFd>> {
        if number > self.sockets.len() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "sockets are missing, perhaps for want of file descriptors",
            ));
        }
        Ok(self.sockets.drain(..number).collect())
    }

    fn whole(&mut self) -> io::Result<Option<Message>> {
        let Some((length, rest)) = self.bytes.split_first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > LIMIT_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let message = serde_json::from_slice(body)?;
        self.bytes.drain(..size_of::<u32>() + length);
        Ok(Some(message))
    }
}

fn receive_some(
    stream: &UnixStream,
    bytes: &mut Vec<u8>,
    sockets: &mut VecDeque<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_AT_ONCE))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut piece = vec![0; PIECE_BYTES];
    let received = retry_on_intr(|| {
        let mut into = [IoSliceMut::new(&mut piece)];
        recvmsg(stream, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            sockets.extend(passed);
        }
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::other(
            "sockets were lost on the way, perhaps for want of file descriptors",
        ));
    }
    bytes.extend_from_slice(piece.get(..received.bytes).unwrap_or_default());
    Ok(received.bytes)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    use super::*;

    #[tokio::test]
    async fn messages_arrive_in_order_with_their_sockets() {
        let (one, other) = UnixStream::pair().unwrap();
        let (mut sender, _) = ends(one);
        let (_, mut receiver) = ends(other);
        let sockets: Vec<TcpListener> = (0..2 * SOCKETS_AT_ONCE)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let large: BTreeSet<String> = (0..20_000).map(|id| format!("{id:064x}")).collect();
        let sent = async {
            for sockets in sockets.chunks(SOCKETS_AT_ONCE) {
                let message = Message::Listening {
                    role: Role::Http,
                    address: None,
                    is_inherited: false,
                    sockets: sockets.len(),
                };
                let sockets: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
                sender.send(&message, &sockets).await.unwrap();
            }
            let upstreams = large.clone();
            let message = Message::InUse { upstreams };
            sender.send(&message, &[]).await.unwrap();
            drop(sender);
        };
        let received = async {
            let mut passed = Vec::new();
            loop {
                match receiver.receive().await.unwrap() {
                    Some(Message::Listening { sockets, .. }) => {
                        passed.extend(receiver.take_sockets(sockets).unwrap());
                    }
                    Some(Message::InUse { upstreams }) => assert_eq!(upstreams, large),
                    Some(other) => panic!("{other:?}"),
                    None => return passed,
                }
            }
        };
        let ((), passed) = tokio::join!(sent, received);
        let addresses: Vec<_> = passed
            .into_iter()
            .map(|socket| TcpListener::from(socket).local_addr().unwrap())
            .collect();
        let expected: Vec<_> = sockets.iter().map(|s| s.local_addr().unwrap()).collect();
        assert_eq!(addresses, expected);
    }

    #[tokio::test]
    async fn a_role_of_a_later_mini_is_known_as_unknown_and_missing_sockets_are_told() {
        let text = r#"{"type":"listening","role":"quic","address":null,"is_inherited":false,"sockets":1,"more":1}"#;
        let message: Message = serde_json::from_str(text).unwrap();
        assert!(
            matches!(
                message,
                Message::Listening {
                    role: Role::Unknown,
                    ..
                }
            ),
            "{message:?}"
        );
        let (one, _other) = UnixStream::pair().unwrap();
        assert!(ends(one).1.take_sockets(1).is_err());
    }
}
