//! The listening sockets of a thread: accepting from them, and closing them without losing who waits in their queues.

use crate::client::{Ends, Seat};
use crate::connection;
use crate::drain::Entrance;
use crate::listen::ListeningSocket;
use crate::ports::{Share, SharedPort};
use crate::relayed;
use crate::worker::Worker;
use socket2::SockRef;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_local, yield_now};

/// How long to wait after an accept that failed, which most often means no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    is_tls: bool,
    /// Another process has it, too.
    stays_open: bool,
    /// Its port, if it was opened beside the listeners the proxy was started with.
    own_port: Option<u16>,
    entrance: Rc<Entrance>,
}

impl Listener {
    pub(crate) fn new(
        ListeningSocket {
            socket,
            is_tls,
            stays_open,
        }: ListeningSocket,
        own_port: Option<u16>,
        entrance: &Rc<Entrance>,
    ) -> io::Result<Listener> {
        let socket = TcpListener::from_std(socket)?;
        let address = socket.local_addr()?;
        Ok(Listener {
            socket,
            address,
            is_tls,
            stays_open,
            own_port,
            entrance: Rc::clone(entrance),
        })
    }

    /// Who waits in the queue; `None` when nobody does.
    ///
    /// The system is asked itself: tokio would say "nobody" as well when it has not looked yet, or finds that a task has done
    /// enough for one turn.
    fn next_waiting(&self) -> Option<(TcpStream, SocketAddr)> {
        loop {
            match SockRef::from(&self.socket).accept() {
                Ok((stream, peer)) => {
                    let accepted = stream
                        .set_nonblocking(true)
                        .and_then(|()| TcpStream::from_std(stream.into()));
                    match (accepted, peer.as_socket()) {
                        (Ok(stream), Some(peer)) => return Some((stream, peer)),
                        (Ok(_), None) | (Err(_), _) => {}
                    }
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        tracing::warn!(%error, address = %self.address, "cannot accept a connection");
                    }
                    return None;
                }
            }
        }
    }
}

/// Sockets that are accepted from.
#[derive(Debug)]
pub(crate) struct Listening {
    listeners: Vec<Rc<Listener>>,
    accepting: Vec<JoinHandle<()>>,
}

impl Listening {
    pub(crate) fn begin(worker: &Rc<Worker>, listeners: Vec<Listener>) -> Listening {
        let listeners: Vec<Rc<Listener>> = listeners.into_iter().map(Rc::new).collect();
        let accept =
            |listener: &Rc<Listener>| spawn_local(Rc::clone(worker).accept(Rc::clone(listener)));
        Listening {
            accepting: listeners.iter().map(accept).collect(),
            listeners,
        }
    }

    /// Whether another process has all of the sockets, too. Not where there is none.
    pub(crate) fn stays_open(&self) -> bool {
        !self.listeners.is_empty() && self.listeners.iter().all(|listener| listener.stays_open)
    }

    /// Accepts those who wait in the queues, and no more; the sockets are closed then. The queue of one that stays open is
    /// left to whoever has it.
    pub(crate) async fn end(self, worker: &Rc<Worker>) {
        for task in &self.accepting {
            task.abort();
        }
        for task in self.accepting {
            // It was aborted: that is its end.
            let _ = task.await;
        }
        for listener in self.listeners {
            while !listener.stays_open
                && let Some((stream, peer)) = listener.next_waiting()
            {
                worker.begin(stream, peer, &listener);
            }
        }
    }
}

/// A port opened beside the listeners, as one thread serves it.
#[derive(Debug)]
pub(crate) struct LocalPort {
    shared: Arc<SharedPort>,
    entrance: Rc<Entrance>,
    listening: Listening,
    listens: mpsc::Sender<()>,
}

impl LocalPort {
    fn begin(worker: &Rc<Worker>, shared: &Arc<SharedPort>) -> Option<LocalPort> {
        let Share { sockets, listens } = shared.take_share(worker.index)?;
        let entrance = Rc::default();
        let mut listeners = Vec::with_capacity(sockets.len());
        for socket in sockets {
            match Listener::new(socket, Some(shared.open.port), &entrance) {
                Ok(listener) => listeners.push(listener),
                // Closed, it gets no connections: the other threads do.
                Err(error) => {
                    tracing::error!(%error, port = shared.open.port, "a thread cannot listen");
                }
            }
        }
        Some(LocalPort {
            shared: Arc::clone(shared),
            entrance,
            listening: Listening::begin(worker, listeners),
            listens,
        })
    }

    /// Accepts no more; what it has accepted goes on.
    pub(crate) async fn end(self, worker: &Rc<Worker>) -> Rc<Entrance> {
        self.listening.end(worker).await;
        drop(self.listens);
        self.entrance
    }
}

impl Worker {
    /// Opens and closes ports as the newest list says; nothing while the thread ends.
    pub(crate) fn follow_ports(self: &Rc<Self>) {
        let mut local = self.ports.borrow_mut();
        let Some(local) = local.as_mut() else { return };
        let open = self.shared.ports.load_full();
        let is_open = |port: &LocalPort| open.iter().any(|open| Arc::ptr_eq(open, &port.shared));
        let gone = local.extract_if(.., |port| !is_open(port));
        let gone: Vec<LocalPort> = gone.collect();
        for port in gone {
            spawn_local(Rc::clone(self).close(port));
        }
        for shared in open.iter() {
            let is_known = local.iter().any(|port| Arc::ptr_eq(&port.shared, shared));
            if !is_known && let Some(port) = LocalPort::begin(self, shared) {
                local.push(port);
            }
        }
    }

    async fn close(self: Rc<Self>, port: LocalPort) {
        let drain = port.shared.drain.get().copied().unwrap_or_default();
        let entrance = port.end(&self).await;
        // Those that were accepted last get to their first request.
        yield_now().await;
        self.open.close(&entrance, drain).await;
    }

    async fn accept(self: Rc<Self>, listener: Rc<Listener>) {
        // Before there is a table every host would be unknown: who comes that early waits in the socket's queue.
        let mut signal = self.shared.signal.subscribe();
        if signal.wait_for(|signal| signal.epoch > 0).await.is_err() {
            return;
        }
        loop {
            match listener.socket.accept().await {
                Ok((stream, peer)) => self.begin(stream, peer, &listener),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, address = %listener.address, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn begin(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr, listener: &Listener) {
        self.ledger.accepted_connection();
        let worker = Rc::clone(self);
        let (is_tls, entrance) = (listener.is_tls, &listener.entrance);
        let ends = Ends {
            peer,
            local: listener.address,
            own_port: listener.own_port,
            is_tls_in_front: false,
        };
        if self.settings.proxy_protocol && self.settings.trusts(peer.ip()) {
            let open = self.open.enter(entrance);
            listener.spawn(relayed::serve(worker, stream, ends, open, is_tls));
            return;
        }
        let Ok(visit) = self.visit(peer.ip()) else {
            return;
        };
        let open = self.open.enter(entrance);
        let seat = Seat { open, visit };
        if is_tls {
            listener.spawn(connection::serve_tls(worker, stream, ends, seat));
        } else {
            listener.spawn(connection::serve(worker, stream, ends, seat));
        }
    }
}

impl Listener {
    /// Serves a connection of this listener; one of a port may have to end before its thread does.
    fn spawn(&self, serving: impl Future<Output = ()> + 'static) {
        if self.own_port.is_none() {
            spawn_local(serving);
            return;
        }
        let entrance = Rc::clone(&self.entrance);
        spawn_local(async move {
            tokio::select! {
                () = serving => {}
                () = entrance.is_cut() => {}
            }
        });
    }
}

/// Errors that concern the one connection that was to be accepted, not the listener (accept(2)).
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
