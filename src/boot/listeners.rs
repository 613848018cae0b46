//! Listening sockets: inherited from systemd where it passes some, else bound here. Binding comes before serving, so that
//! a port that is taken stops the start and not half a server.

use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use mini_proxy::Listeners;

use super::port_holder;
use crate::model::{Kind, Problem};

/// All sockets of the server.
pub(super) struct Sockets {
    pub(super) ssh: Vec<TcpListener>,
    pub(super) http: Vec<Listeners>,
}

/// Takes or binds all sockets; every port that is taken is reported.
pub(super) fn open(
    ssh: &[SocketAddr],
    http: &[SocketAddr],
    threads: usize,
) -> Result<Sockets, Vec<Problem>> {
    let mut inherited = inherited();
    let mut problems = Vec::new();
    let mut sockets = Sockets { ssh: Vec::new(), http: Vec::new() };
    for address in ssh {
        match take(&mut inherited, *address) {
            Some(listener) => sockets.ssh.push(listener),
            None => match TcpListener::bind(address) {
                Ok(listener) => sockets.ssh.push(listener),
                Err(error) => problems.push(refused("SSH", *address, &error)),
            },
        }
    }
    for address in http {
        let opened = match take(&mut inherited, *address) {
            Some(listener) => Listeners::from_inherited(listener, threads)
                .map_err(|error| refused("HTTP", *address, &error)),
            None => Listeners::bind(*address, threads).map_err(|error| bind_refused(*address, &error)),
        };
        match opened {
            Ok(listeners) => sockets.http.push(listeners),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(sockets) } else { Err(problems) }
}

/// Sockets passed by `LISTEN_FDS`, with their addresses.
fn inherited() -> Vec<(SocketAddr, TcpListener)> {
    let mut passed = ListenFd::from_env();
    (0..passed.len())
        .filter_map(|index| {
            let listener = passed.take_tcp_listener(index).ok().flatten()?;
            Some((listener.local_addr().ok()?, listener))
        })
        .collect()
}

fn take(inherited: &mut Vec<(SocketAddr, TcpListener)>, wanted: SocketAddr) -> Option<TcpListener> {
    let is_wanted = |address: &SocketAddr| {
        address.port() == wanted.port()
            && (address.ip() == wanted.ip() || address.ip().is_unspecified())
    };
    let index = inherited.iter().position(|(address, _)| is_wanted(address))?;
    Some(inherited.swap_remove(index).1)
}

fn bind_refused(address: SocketAddr, error: &mini_proxy::BindError) -> Problem {
    let mut cause: &dyn std::error::Error = error;
    loop {
        if let Some(error) = cause.downcast_ref::<std::io::Error>() {
            return refused("HTTP", address, error);
        }
        match cause.source() {
            Some(source) => cause = source,
            None => break,
        }
    }
    in_use("HTTP", address, error.to_string())
}

fn refused(door: &str, address: SocketAddr, error: &std::io::Error) -> Problem {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => in_use(door, address, "the address is in use".to_owned()),
        std::io::ErrorKind::PermissionDenied => Problem::new(
            Kind::Unavailable,
            format!("{door} cannot listen on {address}"),
            "ports below 1024 need root or the capability CAP_NET_BIND_SERVICE",
            format!("start as root, or choose another port with --{}-listen", door.to_lowercase()),
        ),
        std::io::ErrorKind::AddrNotAvailable => Problem::new(
            Kind::Unavailable,
            format!("{door} cannot listen on {address}"),
            "this machine does not have that address",
            "listen on 0.0.0.0, or on an address that `ip address` shows",
        ),
        _ => Problem::new(Kind::Unavailable, format!("{door} cannot listen on {address}"), error.to_string(), ""),
    }
}

fn in_use(door: &str, address: SocketAddr, why: String) -> Problem {
    let why = match port_holder::of(address.port()) {
        Some(holder) => format!("{holder} listens there already"),
        None => why,
    };
    Problem::new(
        Kind::Unavailable,
        format!("{door} cannot listen on {address}"),
        why,
        format!("stop what listens there, or choose another port with --{}-listen", door.to_lowercase()),
    )
}
