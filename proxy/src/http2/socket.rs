//! A stream that has become a tunnel (RFC 8441): the client's end of it, or the upstream's.

use super::piece::Piece;
use bytes::Bytes;
use h2::{RecvStream, SendStream};
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// What is written at once at most: as much as one frame holds by default (RFC 9113 section 4.2).
const PIECE_BYTES: usize = 16 * 1024;

/// A stream whose client asks for a tunnel, and waits for the answer.
#[derive(Debug)]
pub(crate) struct Opening {
    from: RecvStream,
    to: oneshot::Receiver<SendStream<Piece>>,
}

/// Where a stream goes when the answer has been written that makes a tunnel of it.
#[derive(Debug)]
pub(super) struct Agreed(oneshot::Sender<SendStream<Piece>>);

impl Opening {
    pub(super) fn of(stream: RecvStream) -> (Opening, Agreed) {
        let (tell, told) = oneshot::channel();
        let opening = Opening {
            from: stream,
            to: told,
        };
        (opening, Agreed(tell))
    }

    /// The tunnel, once the client has been told of it. Fails if it has not been.
    pub(crate) async fn open(self) -> io::Result<StreamSocket> {
        let to = self.to.await.map_err(|_| ErrorKind::ConnectionAborted)?;
        Ok(StreamSocket::new(self.from, to))
    }
}

impl Agreed {
    pub(super) fn tell(self, stream: SendStream<Piece>) {
        // If nobody waits for it any more, it is reset as it is dropped.
        let _ = self.0.send(stream);
    }
}

/// One end of a tunnel. Either side can end before the other.
#[derive(Debug)]
pub(crate) struct StreamSocket {
    from: RecvStream,
    to: SendStream<Piece>,
    /// What came and was not read yet. Only what is read makes room for more.
    read: Bytes,
    is_shut: bool,
}

impl StreamSocket {
    pub(crate) fn new(from: RecvStream, to: SendStream<Piece>) -> StreamSocket {
        StreamSocket {
            from,
            to,
            read: Bytes::new(),
            is_shut: false,
        }
    }
}

impl AsyncRead for StreamSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.read.is_empty() {
            match ready!(self.from.poll_data(cx)) {
                Some(Ok(data)) => self.read = data,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.read.len().min(into.remaining());
        into.put_slice(&self.read.split_to(length));
        // Fails only for more than came.
        let _ = self.from.flow_control().release_capacity(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for StreamSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        // Only for what is sent at once: all streams share the room of their connection.
        let most = bytes.len().min(PIECE_BYTES);
        self.to.reserve_capacity(most);
        let mut room = self.to.capacity();
        while room == 0 {
            room = match ready!(self.to.poll_capacity(cx)) {
                Some(Ok(room)) => room,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Err(ErrorKind::BrokenPipe.into())),
            };
        }
        let now = bytes.get(..room.min(most)).unwrap_or(bytes);
        let piece = Piece::new(Bytes::copy_from_slice(now));
        let sent = self.to.send_data(piece, false);
        Poll::Ready(sent.map(|()| now.len()).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // h2 writes what it has as soon as it can.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_shut {
            return Poll::Ready(Ok(()));
        }
        self.is_shut = true;
        let sent = self.to.send_data(Piece::new(Bytes::new()), true);
        Poll::Ready(sent.map_err(io::Error::other))
    }
}
