//! The connections a thread has open, so that it can ask them to finish and wait until they have.

use crate::ledger::Ledger;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long a new connection may take to begin its first request when its thread stops. Its client has just connected, and what it
/// came for is on the way; it would take a connection that is closed without an answer for a failure, unlike on one that was kept.
pub(crate) const LAST_CALL: Duration = Duration::from_secs(2);

/// The listener that connections came in by. One that is closed while its thread goes on asks them to finish.
#[derive(Debug, Default)]
pub(crate) struct Entrance {
    closing: Cell<bool>,
    is_cut: Cell<bool>,
    open: Cell<usize>,
    none_left: Notify,
    cut: Notify,
}

impl Entrance {
    /// Ends what is left of its connections.
    fn cut(&self) {
        self.is_cut.set(true);
        self.cut.notify_waiters();
    }

    /// Resolves when its connections are to end, whatever they are at.
    pub(crate) async fn is_cut(&self) {
        while !self.is_cut.get() {
            self.cut.notified().await;
        }
    }

    async fn all_closed(&self) {
        while self.open.get() > 0 {
            self.none_left.notified().await;
        }
    }
}

/// All client connections of one thread, upgraded ones included.
#[derive(Debug)]
pub(crate) struct OpenConnections {
    leaving: Cell<bool>,
    stopping: Cell<bool>,
    next: Cell<u64>,
    open: Cell<usize>,
    /// Those with a smaller number are to finish, and so many of them are open.
    earlier_than: Cell<u64>,
    earlier: Cell<usize>,
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
            earlier_than: Cell::new(0),
            earlier: Cell::new(0),
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
    pub(crate) fn enter(self: &Rc<Self>, entrance: &Rc<Entrance>) -> Open {
        let id = self.next.get();
        self.next.set(id.wrapping_add(1));
        self.count(self.open.get() + 1);
        entrance.open.set(entrance.open.get() + 1);
        Open {
            id,
            connections: Rc::clone(self),
            entrance: Rc::clone(entrance),
        }
    }

    /// Asks the connections that came in by one listener to finish; cuts after `drain` what has not. Resolves when none
    /// is open.
    pub(crate) async fn close(&self, entrance: &Entrance, drain: Duration) {
        entrance.closing.set(true);
        self.wake();
        if timeout(drain, entrance.all_closed()).await.is_err() {
            tracing::warn!("the drain time is over: open connections of a closed port are cut");
            entrance.cut();
            entrance.all_closed().await;
        }
    }

    /// Lets all connections close with the answer to their next request.
    pub(crate) fn leave(&self) {
        self.leaving.set(true);
        self.wake();
    }

    /// Asks the connections that are open now to finish. One that comes later is closed with its first answer.
    pub(crate) fn stop_earlier(&self) {
        self.earlier_than.set(self.next.get());
        self.earlier.set(self.open.get());
        self.leave();
    }

    /// Waits until none of those is open.
    pub(crate) async fn earlier_closed(&self) {
        while self.earlier.get() > 0 {
            self.none_left.notified().await;
        }
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
    entrance: Rc<Entrance>,
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
        self.connections.is_stopping() || self.entrance.closing.get() || self.is_earlier()
    }

    fn is_earlier(&self) -> bool {
        self.id < self.connections.earlier_than.get()
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.connections.is_leaving() || self.entrance.closing.get()
    }

    /// The listener it came in by.
    pub(crate) fn entrance(&self) -> &Rc<Entrance> {
        &self.entrance
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let connections = &self.connections;
        connections.wakers.borrow_mut().remove(&self.id);
        connections.count(connections.open.get().saturating_sub(1));
        if self.is_earlier() {
            let earlier = connections.earlier.get().saturating_sub(1);
            connections.earlier.set(earlier);
            if earlier == 0 {
                connections.none_left.notify_one();
            }
        }
        if connections.open.get() == 0 {
            connections.none_left.notify_one();
        }
        let entrance = &self.entrance;
        entrance.open.set(entrance.open.get().saturating_sub(1));
        if entrance.open.get() == 0 {
            entrance.none_left.notify_one();
        }
    }
}
