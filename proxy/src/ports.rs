//! Ports that are opened and closed while the proxy runs, beside the listeners it was started with.
//!
//! Which are open is a list that is swapped; the data threads are woken and follow it. A thread takes its own sockets from
//! what was opened, and gives them back to nobody: they close when it has let go of them.

use crate::handle::ProxyHandle;
use crate::listen::{Listeners, ListeningSocket};
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// A port that is open beside the listeners.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenPort {
    /// Its number, by which [`RouteTable::set_port`](crate::RouteTable::set_port) knows it.
    pub port: u16,
    /// Whether TLS is spoken there.
    pub is_tls: bool,
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
}

/// Why a port could not be opened. The listeners that were given are closed.
#[derive(Debug, thiserror::Error)]
pub enum OpenPortError {
    /// There is nothing to listen on, or the addresses differ in their port, or only some of them speak TLS.
    #[error("the listeners of a port must be one or more, of one port and one scheme")]
    Mixed,
    /// It is open already.
    #[error("port {0} is open already")]
    Open(u16),
    /// A socket could not be shared among the threads.
    #[error("a socket could not be shared among the threads of the proxy")]
    Socket(#[from] io::Error),
    /// The proxy was told to stop.
    #[error("the proxy is stopping")]
    Stopping,
}

/// What the handle and the data threads share of one.
#[derive(Debug)]
pub(crate) struct SharedPort {
    pub(crate) open: OpenPort,
    /// Second handles, for another process to take over.
    kept: Mutex<Vec<Listeners>>,
    /// What the threads have not taken yet.
    shares: Mutex<Vec<Option<Share>>>,
    /// Set before the port leaves the list: how long connections may take to finish.
    pub(crate) drain: OnceLock<Duration>,
    /// Comes to its end when no thread listens any more.
    ended: Mutex<Option<mpsc::Receiver<()>>>,
}

/// The sockets of one thread.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) sockets: Vec<ListeningSocket>,
    /// Dropped when the thread does not listen any more.
    pub(crate) listens: mpsc::Sender<()>,
}

/// All that are open, in the order of their opening.
pub(crate) type SharedPorts = Vec<Arc<SharedPort>>;

impl SharedPort {
    fn new(listeners: Vec<Listeners>, threads: usize) -> Result<SharedPort, OpenPortError> {
        let numbers: BTreeSet<(u16, bool)> = listeners
            .iter()
            .map(|listeners| (listeners.local_address().port(), listeners.is_tls()))
            .collect();
        let Some((port, is_tls)) = numbers.first().copied().filter(|_| numbers.len() == 1) else {
            return Err(OpenPortError::Mixed);
        };
        let addresses = listeners.iter().map(Listeners::local_address).collect();
        let kept: io::Result<Vec<Listeners>> = listeners.iter().map(Listeners::try_clone).collect();
        let kept = kept?;
        let (listens, ended) = mpsc::channel(1);
        let mut shares: Vec<Share> = (0..threads)
            .map(|_| Share {
                sockets: Vec::new(),
                listens: listens.clone(),
            })
            .collect();
        for listeners in listeners {
            // All must be served: the kernel also gives connections to a socket nobody accepts from.
            for (index, socket) in listeners.into_sockets(threads)?.into_iter().enumerate() {
                if let Some(share) = shares.get_mut(index % threads.max(1)) {
                    share.sockets.push(socket);
                }
            }
        }
        Ok(SharedPort {
            open: OpenPort {
                port,
                is_tls,
                addresses,
            },
            kept: Mutex::new(kept),
            shares: Mutex::new(shares.into_iter().map(Some).collect()),
            drain: OnceLock::new(),
            ended: Mutex::new(Some(ended)),
        })
    }

    /// The sockets of one thread; `None` when it has taken them, or the port was closed before it could.
    pub(crate) fn take_share(&self, thread: usize) -> Option<Share> {
        lock(&self.shares).get_mut(thread)?.take()
    }
}

impl ProxyHandle {
    /// Listens on a port beside the listeners the proxy was started with, as [`Listeners::bind`] has bound it: several
    /// addresses of one port are one port. Its requests are routed by [`RouteTable::set_port`](crate::RouteTable::set_port)
    /// of its number alone; plain HTTP is not sent to HTTPS there, for whoever opened a port for HTTP means it.
    ///
    /// Connections wait in the sockets' queues until the threads have followed, which is a matter of microseconds, and as
    /// everywhere until there is a table.
    ///
    /// # Errors
    /// [`OpenPortError`]; nothing is open then that was not before.
    pub fn open_port(&self, listeners: Vec<Listeners>) -> Result<(), OpenPortError> {
        let shared = &self.shared;
        let port = SharedPort::new(listeners, shared.ledgers.len())?;
        let _swapping = self.swapping();
        if shared.signal.borrow().stop.is_some() {
            return Err(OpenPortError::Stopping);
        }
        let ports = shared.ports.load();
        if ports.iter().any(|open| open.open.port == port.open.port) {
            return Err(OpenPortError::Open(port.open.port));
        }
        let mut ports = SharedPorts::clone(&ports);
        ports.push(Arc::new(port));
        shared.ports.store(Arc::new(ports));
        self.announce_ports();
        Ok(())
    }

    /// Stops listening on a port that [`ProxyHandle::open_port`] has opened; resolves when nothing listens there any more,
    /// so that it can be bound again.
    ///
    /// Connections that wait in the queue are accepted before. Each connection finishes what it has in flight and is
    /// closed then, idle ones at once; upgraded connections, and requests that take longer, are cut after `drain`. That
    /// goes on when this has resolved, and when it is cancelled. False if no such port is open.
    pub async fn close_port(&self, port: u16, drain: Duration) -> bool {
        let Some(mut ended) = self.begin_closing(port, drain) else {
            return false;
        };
        // No message ever comes: the threads drop their ends.
        let _ = ended.recv().await;
        true
    }

    fn begin_closing(&self, port: u16, drain: Duration) -> Option<mpsc::Receiver<()>> {
        let shared = &self.shared;
        let _swapping = self.swapping();
        let mut ports = SharedPorts::clone(&shared.ports.load());
        let at = ports.iter().position(|open| open.open.port == port)?;
        let closing = ports.remove(at);
        // It is not in the list twice, so this is the first time.
        let _ = closing.drain.set(drain);
        shared.ports.store(Arc::new(ports));
        // Before the threads close theirs: a socket with any handle left goes on queueing connections.
        lock(&closing.kept).clear();
        lock(&closing.shares).clear();
        self.announce_ports();
        lock(&closing.ended).take()
    }

    /// The ports that are open beside the listeners, by their number.
    pub fn open_ports(&self) -> Vec<OpenPort> {
        let ports = self.shared.ports.load();
        let mut open: Vec<OpenPort> = ports.iter().map(|port| port.open.clone()).collect();
        open.sort_by_key(|open| open.port);
        open
    }

    /// Second handles on the sockets of all ports that are open beside the listeners, for another process to take over
    /// with [`Listeners::from_passed`]. While one is there, closing a port does not free it.
    ///
    /// # Errors
    /// When no file descriptor is left.
    pub fn port_listeners(&self) -> io::Result<Vec<Listeners>> {
        let ports = self.shared.ports.load();
        let mut all = Vec::new();
        for port in ports.iter() {
            for listeners in lock(&port.kept).iter() {
                all.push(listeners.try_clone()?);
            }
        }
        Ok(all)
    }

    /// How many data threads there are: as many sockets [`Listeners::bind`] is to make for an address.
    pub fn threads(&self) -> usize {
        self.shared.ledgers.len()
    }

    /// Lets go of the second handles, so that the ports of a proxy that stops are open only as far as another has them.
    pub(crate) fn release_ports(&self) {
        for port in self.shared.ports.load().iter() {
            lock(&port.kept).clear();
        }
    }

    fn announce_ports(&self) {
        self.shared
            .signal
            .send_modify(|signal| signal.ports = signal.ports.wrapping_add(1));
    }
}

/// What is behind these locks is replaced or taken in one step: a panic leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
