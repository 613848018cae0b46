//! A piece of an answer on its way through h2, and what of a stream still lies there.

use bytes::{Buf, Bytes};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// Bytes given to h2, which drops them when they are written.
#[derive(Debug)]
pub(crate) struct Piece {
    bytes: Bytes,
    unsent: Option<Rc<Unsent>>,
}

impl Piece {
    /// One about which nobody wants to know when it is written.
    pub(super) fn new(bytes: Bytes) -> Piece {
        Piece {
            bytes,
            unsent: None,
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(unsent) = &self.unsent {
            unsent.pieces.set(unsent.pieces.get().saturating_sub(1));
            unsent.written.set(Instant::now());
        }
    }
}

/// The pieces of one stream that the client has made room for, and that wait for its connection.
#[derive(Debug)]
pub(super) struct Unsent {
    pieces: Cell<usize>,
    /// When the last one was written.
    written: Cell<Instant>,
}

impl Unsent {
    pub(super) fn new() -> Rc<Unsent> {
        Rc::new(Unsent {
            pieces: Cell::new(0),
            written: Cell::new(Instant::now()),
        })
    }

    pub(super) fn piece(self: &Rc<Self>, bytes: Bytes) -> Piece {
        self.pieces.set(self.pieces.get() + 1);
        Piece {
            bytes,
            unsent: Some(Rc::clone(self)),
        }
    }

    /// How long the client may still make no room, of `limit` since all it made was used; none if that is over. As long as
    /// something waits for the connection, it is that which is slow, and the whole time is left.
    pub(super) fn patience(&self, limit: Duration) -> Option<Duration> {
        if self.pieces.get() > 0 {
            return Some(limit);
        }
        let left = limit.saturating_sub(self.written.get().elapsed());
        (!left.is_zero()).then_some(left)
    }
}
