//! The listening sockets on their way from one process to the next.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};

use serde::{Deserialize, Serialize};

use super::link::{Message, Receiver, SOCKETS_AT_ONCE, Sender};

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::boot) enum Role {
    /// SSH.
    Ssh,
    /// Visitors of the apps.
    Http,
    /// The same with TLS.
    Https,
    /// Visitors of the apps that have this port for their own.
    AppHttp,
    /// The same with TLS.
    AppHttps,
    /// Figures for monitoring.
    Metrics,
    /// The API on the socket in the data directory.
    Api,
    /// Takeovers.
    Door,
    /// One that this mini does not know.
    #[serde(other)]
    Unknown,
}

/// The sockets of one listening address; for visitors there is one for each thread of the proxy.
#[derive(Debug)]
pub(in crate::boot) struct Listening {
    pub role: Role,
    /// None for a Unix socket.
    pub address: Option<SocketAddr>,
    /// They are from systemd and stand for all that the settings say about this role.
    pub is_inherited: bool,
    pub sockets: Vec<OwnedFd>,
}

/// Second handles on sockets that are served. While they are open nobody who connects is refused.
#[derive(Debug, Default)]
pub(in crate::boot) struct Kept(pub(in crate::boot) Vec<Listening>);

impl Kept {
    /// Third handles on the sockets of a role.
    pub(in crate::boot) fn listeners(&self, role: Role) -> io::Result<Vec<TcpListener>> {
        let of_role = self.0.iter().filter(|listening| listening.role == role);
        of_role
            .flat_map(|listening| &listening.sockets)
            .map(|socket| socket.try_clone().map(TcpListener::from))
            .collect()
    }

    pub(super) async fn send(&self, link: &mut Sender) -> io::Result<()> {
        for listening in &self.0 {
            for sockets in listening.sockets.chunks(SOCKETS_AT_ONCE) {
                let message = Message::Listening {
                    role: listening.role,
                    address: listening.address,
                    is_inherited: listening.is_inherited,
                    sockets: sockets.len(),
                };
                let sockets: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
                link.send(&message, &sockets).await?;
            }
        }
        Ok(())
    }
}

/// Sockets that another process has passed and that nobody has taken yet. What is left at the end closes when this is
/// dropped; it is what the new settings no longer name.
#[derive(Debug, Default)]
pub(in crate::boot) struct Passed(Vec<Listening>);

impl Passed {
    /// Takes those of one [`Message::Listening`]. Several about one address belong together.
    pub(super) fn add(
        &mut self,
        (role, address, is_inherited): (Role, Option<SocketAddr>, bool),
        sockets: usize,
        link: &mut Receiver,
    ) -> io::Result<()> {
        let sockets = link.take_sockets(sockets)?;
        let known = self
            .0
            .iter_mut()
            .find(|known| known.role == role && known.address == address);
        match known {
            Some(known) => known.sockets.extend(sockets),
            None => self.0.push(Listening {
                role,
                address,
                is_inherited,
                sockets,
            }),
        }
        Ok(())
    }

    /// Those that listen where the settings want it; port 0 is content with any.
    pub(in crate::boot) fn take(
        &mut self,
        role: Role,
        wanted: SocketAddr,
    ) -> Option<Vec<TcpListener>> {
        let is_it = |address: SocketAddr| {
            address.ip() == wanted.ip() && (address.port() == wanted.port() || wanted.port() == 0)
        };
        self.remove(|listening| listening.role == role && listening.address.is_some_and(is_it))
            .map(tcp)
    }

    /// One from systemd, whatever the settings say.
    pub(in crate::boot) fn take_inherited(&mut self, role: Role) -> Option<Vec<TcpListener>> {
        self.remove(|listening| listening.role == role && listening.is_inherited)
            .map(tcp)
    }

    /// All of a role.
    pub(in crate::boot) fn take_all(&mut self, role: Role) -> Vec<Vec<TcpListener>> {
        let mut all = Vec::new();
        while let Some(listening) = self.remove(|listening| listening.role == role) {
            all.push(tcp(listening));
        }
        all
    }

    /// The Unix socket of a role.
    pub(in crate::boot) fn take_unix(&mut self, role: Role) -> Option<OwnedFd> {
        self.remove(|listening| listening.role == role)?
            .sockets
            .into_iter()
            .next()
    }

    /// Logs what nobody has taken.
    pub(in crate::boot) fn tell_rest(&self) {
        for Listening { role, address, .. } in &self.0 {
            tracing::info!(
                ?role,
                ?address,
                "a socket of the server before is closed, for the settings do not name it any more"
            );
        }
    }

    fn remove(&mut self, is_it: impl Fn(&Listening) -> bool) -> Option<Listening> {
        let place = self.0.iter().position(is_it)?;
        Some(self.0.swap_remove(place))
    }
}

fn tcp(listening: Listening) -> Vec<TcpListener> {
    listening
        .sockets
        .into_iter()
        .map(TcpListener::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_taken_by_role_and_address() {
        let listen = |role: Role, is_inherited: bool| {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = socket.local_addr().unwrap();
            let listening = Listening {
                role,
                address: Some(address),
                is_inherited,
                sockets: vec![socket.into()],
            };
            (address, listening)
        };
        let (ssh, first) = listen(Role::Ssh, false);
        let (http, second) = listen(Role::Http, false);
        let (_, third) = listen(Role::Https, true);
        let mut passed = Passed(vec![first, second, third]);
        assert!(passed.take(Role::Ssh, http).is_none());
        let other = SocketAddr::from(([127, 0, 0, 2], ssh.port()));
        assert!(passed.take(Role::Ssh, other).is_none());
        let taken = passed.take(Role::Ssh, ssh).unwrap();
        assert_eq!(taken[0].local_addr().unwrap(), ssh);
        assert!(passed.take(Role::Ssh, ssh).is_none());
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        assert_eq!(passed.take(Role::Http, any).unwrap().len(), 1);
        assert!(passed.take_inherited(Role::Http).is_none());
        let (port, first) = listen(Role::AppHttp, false);
        let (_, second) = listen(Role::AppHttps, false);
        passed.0.extend([first, second]);
        let ports = passed.take_all(Role::AppHttp);
        assert_eq!(ports[0][0].local_addr().unwrap(), port);
        assert_eq!((ports.len(), passed.take_all(Role::AppHttp).len()), (1, 0));
        assert!(passed.take_inherited(Role::Https).is_some());
    }
}
