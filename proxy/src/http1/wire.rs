//! A client's stream in the hands of those who use it: the connection, and whoever reads the body of its request.

use super::stream::ClientStream;
use crate::line::Line;
use crate::taken::Taken;
use bytes::{BufMut as _, Bytes, BytesMut};
use std::cell::{Cell, RefCell, RefMut};
use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead as _, AsyncReadExt as _, ReadBuf};
use tokio::sync::oneshot;

type Clients = Line<Taken<ClientStream>>;

/// What is read at once, on the stack, and copied: nearly all requests are shorter, and a connection that waits holds no
/// buffer.
const ROOM_BYTES: usize = 8 * 1024;
/// What is read at once where it can stay, of a body that comes faster than that.
const LARGE_BYTES: usize = 64 * 1024;

/// A client's connection, and what has come over it and was not read yet.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Gone when the connection has ended, or belongs to another protocol.
    line: RefCell<Option<Clients>>,
    come: RefCell<Bytes>,
    /// The last read filled its room.
    is_for_large: Cell<bool>,
    reads: Cell<u64>,
    body: Cell<BodyState>,
    /// Who waits until nobody reads the body any more.
    waiting: RefCell<Option<Waker>>,
    switching: RefCell<Option<oneshot::Sender<Switched>>>,
}

/// A connection that speaks another protocol from here on, and what came of that already.
#[derive(Debug)]
pub(crate) struct Switched {
    pub(crate) stream: ClientStream,
    pub(crate) ahead: Bytes,
}

/// How far the body of the last request has been read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BodyState {
    /// To its end, or there is none.
    Over,
    /// Somebody may read on.
    Open,
    /// Nobody does, and what comes next is a part of it.
    Left,
}

impl Wire {
    pub(super) fn new(line: Clients) -> Wire {
        Wire {
            line: RefCell::new(Some(line)),
            come: RefCell::new(Bytes::new()),
            is_for_large: Cell::new(false),
            reads: Cell::new(0),
            body: Cell::new(BodyState::Over),
            waiting: RefCell::new(None),
            switching: RefCell::new(None),
        }
    }

    /// What has come and was not read.
    pub(super) fn come(&self) -> RefMut<'_, Bytes> {
        self.come.borrow_mut()
    }

    /// The stream, for as long as the connection lives.
    pub(super) fn with_line<T>(
        &self,
        then: impl FnOnce(Pin<&mut Clients>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match &mut *self.line.borrow_mut() {
            Some(line) => then(Pin::new(line)),
            None => Poll::Ready(Err(ErrorKind::NotConnected.into())),
        }
    }

    /// Takes the stream away from whoever holds this.
    pub(super) fn end(&self) -> Option<Clients> {
        self.line.take()
    }

    /// Whether nothing is to be said before the stream is closed.
    pub(super) fn ends_as_it_is_dropped(&self) -> bool {
        let line = self.line.borrow();
        let is_plain = line
            .as_ref()
            .is_some_and(|line| matches!(line.get_ref().get_ref(), ClientStream::Plain(_)));
        is_plain && self.body.get() == BodyState::Over && self.come.borrow().is_empty()
    }

    /// Has the connection end in a reset, where nothing else would tell the client that something is missing. Over TLS that is
    /// told by what does not come, `close_notify`.
    pub(super) fn reset(&self) {
        if let Some(line) = &*self.line.borrow()
            && let ClientStream::Plain(socket) = line.get_ref().get_ref()
        {
            socket.reset_as_it_is_dropped();
        }
    }

    /// How often something has come.
    pub(super) fn reads(&self) -> u64 {
        self.reads.get()
    }

    fn has_read(&self) {
        self.reads.set(self.reads.get().wrapping_add(1));
    }

    /// Reads more, behind what has come; answers how much. Nothing is the end of the stream.
    pub(super) fn poll_more(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.is_for_large.get() {
            return self.poll_large(cx);
        }
        let mut room = [MaybeUninit::uninit(); ROOM_BYTES];
        let mut read = ReadBuf::uninit(&mut room);
        ready!(self.with_line(|line| line.poll_read(cx, &mut read)))?;
        let more = read.filled();
        self.has_read();
        self.is_for_large.set(more.len() == ROOM_BYTES);
        let mut come = self.come.borrow_mut();
        *come = match come.is_empty() {
            true => Bytes::copy_from_slice(more),
            false => [&**come, more].concat().into(),
        };
        Poll::Ready(Ok(more.len()))
    }

    fn poll_large(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut come = self.come.borrow_mut();
        let mut bytes = BytesMut::with_capacity(come.len() + LARGE_BYTES);
        bytes.extend_from_slice(&come);
        let read = self.with_line(|line| {
            let mut room = (&mut bytes).limit(LARGE_BYTES);
            pin!(line.get_mut().read_buf(&mut room)).poll(cx)
        });
        // Nothing is held while nothing comes.
        let Poll::Ready(read) = read else {
            self.is_for_large.set(false);
            return Poll::Pending;
        };
        let count = read?;
        self.has_read();
        self.is_for_large.set(count > ROOM_BYTES);
        *come = bytes.freeze();
        Poll::Ready(Ok(count))
    }

    /// How far the body has been read.
    pub(super) fn body(&self) -> BodyState {
        self.body.get()
    }

    pub(super) fn set_body(&self, body: BodyState) {
        self.body.set(body);
        if body != BodyState::Open
            && let Some(waker) = self.waiting.take()
        {
            waker.wake();
        }
    }

    /// Ready when nobody reads the body any more.
    pub(super) fn poll_body(&self, cx: &mut Context<'_>) -> Poll<BodyState> {
        match self.body.get() {
            BodyState::Open => {
                self.waiting.replace(Some(cx.waker().clone()));
                Poll::Pending
            }
            over => Poll::Ready(over),
        }
    }

    /// The connection as it will be when the answer has agreed to another protocol.
    pub(crate) fn switch(&self) -> oneshot::Receiver<Switched> {
        let (tell, told) = oneshot::channel();
        self.switching.replace(Some(tell));
        told
    }

    /// Gives the connection to whoever has asked for it.
    pub(super) fn give_away(&self) {
        let (Some(to), Some(line)) = (self.switching.take(), self.line.take()) else {
            return;
        };
        let (stream, ahead) = line.into_parts();
        let come = self.come.take();
        let ahead = match ahead.is_empty() {
            true => come,
            false => [&*come, &*ahead].concat().into(),
        };
        // If nobody waits for it any more, it is closed as it is dropped.
        let _ = to.send(Switched {
            stream: stream.into_inner(),
            ahead,
        });
    }

    pub(super) fn forget_switch(&self) {
        self.switching.take();
    }
}
