//! The connections a thread has open, so that it can ask them to finish and wait until they have.

use crate::ledger::Ledger;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use tokio::sync::Notify;

/// All client connections of one thread, upgraded ones included.
#[derive(Debug)]
pub(crate) struct OpenConnections {
    leaving: Cell<bool>,
    stopping: Cell<bool>,
    next: Cell<u64>,
    open: Cell<usize>,
    /// Woken when the thread stops; a connection then looks at [`OpenConnections::is_stopping`].
    wakers: RefCell<HashMap<u64, Waker>>,
    none_left: Notify,
    ledger: Arc<Ledger>,
}

impl OpenConnections {
    pub(crate) fn new(ledger: Arc<Ledger>) -> OpenConnections {
        OpenConnections {
            leaving: Cell::new(false),
            stopping: Cell::new(false),
            next: Cell::new(0),
            open: Cell::new(0),
            wakers: RefCell::default(),
            none_left: Notify::new(),
            ledger,
        }
    }

    /// True once connections are to finish what they are at and close.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// True once connections are to close with the answer to their next request.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.get()
    }

    /// Counts a connection as open until the answer is dropped.
    pub(crate) fn enter(self: &Rc<Self>) -> Open {
        let id = self.next.get();
        self.next.set(id.wrapping_add(1));
        self.count(self.open.get() + 1);
        Open {
            id,
            connections: Rc::clone(self),
        }
    }

    /// Lets all connections close with the answer to their next request.
    pub(crate) fn leave(&self) {
        self.leaving.set(true);
        self.wake();
    }

    /// Asks all connections to finish.
    pub(crate) fn stop(&self) {
        self.stopping.set(true);
        self.leave();
        self.ledger.set_finishing();
    }

    fn wake(&self) {
        for waker in self.wakers.borrow().values() {
            waker.wake_by_ref();
        }
    }

    /// Waits until no connection is open.
    pub(crate) async fn all_closed(&self) {
        while self.open.get() > 0 {
            self.none_left.notified().await;
        }
    }

    fn count(&self, open: usize) {
        self.open.set(open);
        self.ledger.set_open_connections(open);
    }
}

/// One open connection.
#[derive(Debug)]
pub(crate) struct Open {
    id: u64,
    connections: Rc<OpenConnections>,
}

impl Open {
    /// The task to wake when the thread stops. A task keeps its waker, so once is enough.
    pub(crate) fn wake_on_stop(&self, waker: &Waker) {
        self.connections
            .wakers
            .borrow_mut()
            .insert(self.id, waker.clone());
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.connections.is_stopping()
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.connections.is_leaving()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let connections = &self.connections;
        connections.wakers.borrow_mut().remove(&self.id);
        connections.count(connections.open.get().saturating_sub(1));
        if connections.open.get() == 0 {
            connections.none_left.notify_one();
        }
    }
}
