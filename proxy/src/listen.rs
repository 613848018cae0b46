//! Listening sockets: bound before anything is served, one for each data thread.

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};

/// Connections the kernel keeps for us until they are accepted; it caps this at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// The sockets of one listening address, bound and listening, not yet served.
///
/// Connections that arrive before [`Proxy::start`](crate::Proxy::start) wait in the kernel's queue.
#[derive(Debug)]
pub struct Listeners {
    address: SocketAddr,
    sockets: Vec<TcpListener>,
    is_tls: bool,
    stays_open: bool,
}

/// One of them, as a data thread gets it.
#[derive(Debug)]
pub(crate) struct ListeningSocket {
    pub(crate) socket: TcpListener,
    pub(crate) is_tls: bool,
    pub(crate) stays_open: bool,
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process, or another listener of ours, holds the port.
    #[error("{address} is in use by another process")]
    InUse {
        /// The address asked for.
        address: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// Ports below 1024 need root or `CAP_NET_BIND_SERVICE`.
    #[error("not permitted to listen on {address}")]
    NotPermitted {
        /// The address asked for.
        address: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// The address belongs to no interface of this machine, or the system refused in another way.
    #[error("cannot listen on {address}")]
    Failed {
        /// The address asked for.
        address: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
}

impl BindError {
    fn new(address: SocketAddr, source: io::Error) -> BindError {
        match source.kind() {
            ErrorKind::AddrInUse => BindError::InUse { address, source },
            ErrorKind::PermissionDenied => BindError::NotPermitted { address, source },
            _ => BindError::Failed { address, source },
        }
    }
}

impl Listeners {
    /// Binds and listens, with one socket for each of `threads` threads (at least one).
    ///
    /// Port 0 takes a free port, the same for all threads; [`Listeners::local_address`] tells which. Fails
    /// when anything else listens there, also a process that would share the port.
    pub fn bind(address: SocketAddr, threads: usize) -> Result<Listeners, BindError> {
        bind(address, threads).map_err(|source| BindError::new(address, source))
    }

    /// Takes over a socket that already listens and that whoever passed it keeps open, such as systemd.
    ///
    /// The threads share it, so that a restart which hands the same socket on loses no connection; see
    /// [`Listeners::staying_open`].
    pub fn from_inherited(listener: TcpListener, threads: usize) -> io::Result<Listeners> {
        Ok(Self::from_passed(vec![listener], threads)?.staying_open())
    }

    /// Takes over all sockets that listen at one address, from [`Listeners::duplicates`] of another process.
    ///
    /// Their number need not match the threads: all are served, for the kernel gives connections to each of them.
    /// Fails where there is none.
    pub fn from_passed(mut sockets: Vec<TcpListener>, threads: usize) -> io::Result<Listeners> {
        let first = sockets.first().ok_or(ErrorKind::InvalidInput)?;
        let address = first.local_addr()?;
        for socket in &sockets {
            prepare(socket)?;
        }
        share(&mut sockets, threads)?;
        Ok(Listeners {
            address,
            sockets,
            is_tls: false,
            stays_open: false,
        })
    }

    /// Says that these sockets outlive this process: another one keeps them, and serves on them or starts who does.
    ///
    /// What waits in their queues is left to that one when the proxy stops; see
    /// [`Proxy::shutdown`](crate::Proxy::shutdown).
    pub fn staying_open(mut self) -> Listeners {
        self.stays_open = true;
        self
    }

    /// Speaks TLS on these sockets: HTTPS, with the certificates of
    /// [`ProxyHandle::set_certificates`](crate::ProxyHandle::set_certificates).
    pub fn tls(mut self) -> Listeners {
        self.is_tls = true;
        self
    }

    /// Second handles on all its sockets, for another process to take over: what arrives while at least one
    /// handle is open waits in the queue instead of being refused.
    pub fn duplicates(&self) -> io::Result<Vec<TcpListener>> {
        self.sockets.iter().map(TcpListener::try_clone).collect()
    }

    /// The same with second handles.
    pub(crate) fn try_clone(&self) -> io::Result<Listeners> {
        Ok(Listeners {
            address: self.address,
            sockets: self.duplicates()?,
            is_tls: self.is_tls,
            stays_open: self.stays_open,
        })
    }

    /// Whether these sockets outlive this process.
    pub fn stays_open(&self) -> bool {
        self.stays_open
    }

    /// Whether TLS is spoken here.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The address listened on, with the port that was chosen if 0 was asked for.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// The sockets, at least one for each of `threads` threads.
    pub(crate) fn into_sockets(mut self, threads: usize) -> io::Result<Vec<ListeningSocket>> {
        share(&mut self.sockets, threads)?;
        let (is_tls, stays_open) = (self.is_tls, self.stays_open);
        let sockets = self.sockets.into_iter();
        Ok(sockets
            .map(|socket| ListeningSocket {
                socket,
                is_tls,
                stays_open,
            })
            .collect())
    }
}

fn bind(address: SocketAddr, threads: usize) -> io::Result<Listeners> {
    let first = socket(address)?;
    first.bind(&address.into())?;
    // SO_REUSEPORT only after the first bind: set before it, a second server of the same user would join
    // this port without an error and take half of its connections.
    first.set_reuse_port(true)?;
    let address = first
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::Error::other("bound to an address that is no IP address"))?;
    let mut sockets = vec![first];
    for _ in 1..threads {
        let next = socket(address)?;
        next.set_reuse_port(true)?;
        next.bind(&address.into())?;
        sockets.push(next);
    }
    let mut listeners = Vec::with_capacity(sockets.len());
    for socket in sockets {
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from(socket);
        prepare(&listener)?;
        listeners.push(listener);
    }
    Ok(Listeners {
        address,
        sockets: listeners,
        is_tls: false,
        stays_open: false,
    })
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for the closed connections of the last run.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    Ok(socket)
}

/// Linux hands TCP_NODELAY on to the sockets it accepts, which saves a system call for each connection.
fn prepare(listener: &TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    SockRef::from(listener).set_tcp_nodelay(true)
}

fn share(sockets: &mut Vec<TcpListener>, threads: usize) -> io::Result<()> {
    while sockets.len() < threads {
        let Some(socket) = sockets.first() else { break };
        sockets.push(socket.try_clone()?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{BindError, Listeners};
    use std::net::TcpListener;

    #[test]
    fn port_zero_picks_one_port_for_all_threads() {
        let listeners = Listeners::bind(([127, 0, 0, 1], 0).into(), 3).unwrap();
        assert_ne!(listeners.local_address().port(), 0);
        for socket in &listeners.sockets {
            assert_eq!(socket.local_addr().unwrap(), listeners.local_address());
        }
        assert_eq!(listeners.sockets.len(), 3);
    }

    #[test]
    fn a_port_that_is_taken_is_refused_also_when_it_could_be_shared() {
        let first = Listeners::bind(([127, 0, 0, 1], 0).into(), 2).unwrap();
        let second = Listeners::bind(first.local_address(), 2);
        assert!(matches!(second, Err(BindError::InUse { .. })), "{second:?}");
    }

    #[test]
    fn fewer_threads_take_over_all_sockets() {
        let first = Listeners::bind(([127, 0, 0, 1], 0).into(), 3).unwrap();
        let second = Listeners::from_passed(first.duplicates().unwrap(), 1).unwrap();
        assert_eq!(second.local_address(), first.local_address());
        assert_eq!(second.into_sockets(1).unwrap().len(), 3);
        assert!(Listeners::from_passed(Vec::new(), 1).is_err());
    }

    #[test]
    fn an_inherited_socket_is_shared_by_the_threads() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let listeners = Listeners::from_inherited(socket, 2).unwrap();
        assert_eq!(listeners.local_address(), address);
        assert_eq!(listeners.into_sockets(4).unwrap().len(), 4);
    }
}
