//! A connection to an upstream: nothing but its stream. Idle, it holds no buffer and no task.

use super::sending::Uploading;
use crate::socket::Stream;
use bytes::{BufMut as _, Bytes, BytesMut};
#[cfg(not(fuzzing))]
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, Interest, ReadBuf};

/// What is read at once while the head of an answer is waited for: a whole answer, mostly. It lies on the stack, and what came is
/// copied.
const HEAD_ROOM_BYTES: usize = 16 * 1024;
/// The most that is read at once, and so what a client that takes nothing of its answer holds, about. With 500 of them and hyper's
/// client here that was 33 MiB by half as much; and bodies of 100 KiB cost a quarter more CPU time.
pub(super) const MAX_PIECE_BYTES: usize = 64 * 1024;

/// A connection, in as many hands as use it: one that reads, and one that writes if that goes on beside it.
#[derive(Clone, Debug)]
pub(crate) struct Connection(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    stream: RefCell<Stream>,
    /// The last answer was longer than can be read with its head: the next is read where it can stay.
    is_for_large: Cell<bool>,
}

/// A connection whose answer has been read to its end; the request may still be on its way.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) connection: Connection,
    pub(crate) uploading: Option<Uploading>,
}

impl Connection {
    pub(crate) fn new(stream: Stream) -> Connection {
        Connection(Rc::new(Shared {
            stream: RefCell::new(stream),
            is_for_large: Cell::new(false),
        }))
    }

    /// Whether nothing has come on it, not even its end, by the last time the thread looked at its sockets. Costs no system
    /// call, unless something may have come.
    pub(crate) fn is_quiet(&self) -> bool {
        let stream = self.0.stream.borrow();
        would_block(stream.try_io(Interest::READABLE, || peek(&stream)))
    }

    /// The same by this moment.
    pub(crate) fn is_quiet_now(&self) -> bool {
        would_block(peek(&self.0.stream.borrow()))
    }

    /// What comes next of a head, and what is behind it; nothing at the end of the stream.
    pub(super) fn poll_head(&self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if self.0.is_for_large.get() {
            let come = ready!(self.poll_more(cx, b"", MAX_PIECE_BYTES))?;
            self.0.is_for_large.set(come.len() > HEAD_ROOM_BYTES);
            return Poll::Ready(Ok(come));
        }
        let mut room = [MaybeUninit::uninit(); HEAD_ROOM_BYTES];
        let mut read = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut *self.0.stream.borrow_mut()).poll_read(cx, &mut read))?;
        let come = read.filled();
        self.0.is_for_large.set(come.len() == HEAD_ROOM_BYTES);
        Poll::Ready(Ok(Bytes::copy_from_slice(come)))
    }

    /// What has come and so many bytes of what comes next, at most; no more than has come at the end of the stream. Nothing is
    /// held while nothing comes.
    pub(super) fn poll_more(
        &self,
        cx: &mut Context<'_>,
        has_come: &[u8],
        most: usize,
    ) -> Poll<io::Result<Bytes>> {
        let stream = &mut *self.0.stream.borrow_mut();
        ready!(stream.poll_read_ready(cx))?;
        let mut bytes = BytesMut::with_capacity(has_come.len() + most);
        bytes.extend_from_slice(has_come);
        let mut room = (&mut bytes).limit(most);
        ready!(pin!(stream.read_buf(&mut room)).poll(cx))?;
        Poll::Ready(Ok(bytes.freeze()))
    }

    /// Writes some of it. Nothing is an error.
    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.0.stream.borrow_mut()).poll_write(cx, bytes);
        match ready!(written)? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => Poll::Ready(Ok(written)),
        }
    }

    /// The same for what lies in several places.
    pub(super) fn poll_write_all_of(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.0.stream.borrow_mut()).poll_write_vectored(cx, slices);
        match ready!(written)? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => Poll::Ready(Ok(written)),
        }
    }
}

/// As a tunnel uses it.
impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_shutdown(cx)
    }
}

fn would_block(tried: io::Result<usize>) -> bool {
    matches!(tried, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Looks at the first byte that could be read, and leaves it there.
#[cfg(not(fuzzing))]
fn peek(stream: &Stream) -> io::Result<usize> {
    SockRef::from(stream).peek(&mut [MaybeUninit::uninit()])
}

/// In memory nobody can look ahead.
#[cfg(fuzzing)]
fn peek(_: &Stream) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Connection, HEAD_ROOM_BYTES};
    use std::future::poll_fn;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    /// A connection and its upstream's end.
    pub(crate) async fn pair() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(near, listener.accept());
        (Connection::new(near.unwrap()), far.unwrap().0)
    }

    #[tokio::test]
    async fn one_that_was_closed_or_on_which_something_came_is_not_quiet() {
        let (connection, far) = pair().await;
        assert!(connection.is_quiet() && connection.is_quiet_now());
        drop(far);
        // Until the end has come.
        poll_fn(|cx| connection.0.stream.borrow().poll_read_ready(cx))
            .await
            .unwrap();
        assert!(!connection.is_quiet() && !connection.is_quiet_now());
        let (connection, mut far) = pair().await;
        far.write_all(b"stray").await.unwrap();
        poll_fn(|cx| connection.0.stream.borrow().poll_read_ready(cx))
            .await
            .unwrap();
        assert!(!connection.is_quiet() && !connection.is_quiet_now());
    }

    #[tokio::test]
    async fn what_is_longer_than_usual_is_read_with_the_head_from_then_on() {
        let (connection, mut far) = pair().await;
        let mut longest = Vec::new();
        for _ in 0..2 {
            far.write_all(&[7; 50_000]).await.unwrap();
            let (mut count, mut most) = (0, 0);
            while count < 50_000 {
                let read = poll_fn(|cx| connection.poll_head(cx)).await.unwrap();
                count += read.len();
                most = most.max(read.len());
            }
            longest.push(most);
        }
        assert!(
            longest.iter().any(|most| *most > HEAD_ROOM_BYTES),
            "{longest:?}"
        );
        far.write_all(b"short").await.unwrap();
        let read = poll_fn(|cx| connection.poll_head(cx)).await.unwrap();
        assert_eq!(read, "short");
        assert!(!connection.0.is_for_large.get());
    }

    #[tokio::test]
    async fn one_that_was_read_to_the_brim_is_quiet_again() {
        let (connection, mut far) = pair().await;
        far.write_all(&[7; 100]).await.unwrap();
        let mut count = 0;
        while count < 100 {
            let more = poll_fn(|cx| connection.poll_more(cx, b"", 10)).await;
            count += more.unwrap().len();
        }
        assert!(connection.is_quiet());
    }
}
