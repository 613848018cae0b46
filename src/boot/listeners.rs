//! The listening sockets: inherited from systemd, passed by the server before, or bound here.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use listenfd::ListenFd;
use mini_proxy::{BindError, Listeners};

use super::settings::Settings;
use super::takeover::{Kept, Listening, Passed, Role};
use crate::model::{Kind, Problem};
use crate::reconcile::holder;

/// What the server listens on, before it serves.
pub(super) struct Bound {
    pub ssh: Vec<TcpListener>,
    pub http: Vec<Listeners>,
    pub metrics: Vec<TcpListener>,
    pub https: Vec<Listeners>,
    /// Which of them are from systemd, whoever passed them to us.
    inherited: Vec<Role>,
}

impl Bound {
    /// Takes the sockets systemd passed (sd_listen_fds(3), by the names `ssh`, `http` and `https`), and binds the
    /// settings' addresses for those it did not pass, unless the server before has passed just these.
    pub(super) fn bind(
        settings: &Settings,
        proxy_threads: usize,
        before: &mut Passed,
    ) -> Result<Bound, Problem> {
        let mut bound = Self::inherit(proxy_threads)?;
        if bound.ssh.is_empty() {
            while let Some(sockets) = before.take_inherited(Role::Ssh) {
                bound.ssh.extend(sockets);
            }
        }
        for (role, listeners) in [
            (Role::Http, &mut bound.http),
            (Role::Https, &mut bound.https),
        ] {
            if listeners.is_empty() {
                while let Some(sockets) = before.take_inherited(role) {
                    listeners.push(passed(role, sockets, proxy_threads)?.staying_open());
                }
            }
        }
        for (role, is_inherited) in [
            (Role::Ssh, !bound.ssh.is_empty()),
            (Role::Http, !bound.http.is_empty()),
            (Role::Https, !bound.https.is_empty()),
        ] {
            if is_inherited {
                bound.inherited.push(role);
            }
        }
        if bound.ssh.is_empty() {
            for address in &settings.ssh_listen {
                match before.take(Role::Ssh, *address) {
                    Some(sockets) => bound.ssh.extend(sockets),
                    None => bound.ssh.push(
                        listen(*address).map_err(|error| failed("ssh-listen", *address, &error))?,
                    ),
                }
            }
        }
        for address in &settings.metrics_listen {
            match before.take(Role::Metrics, *address) {
                Some(sockets) => bound.metrics.extend(sockets),
                None => bound.metrics.push(
                    listen(*address).map_err(|error| failed("metrics-listen", *address, &error))?,
                ),
            }
        }
        for (role, setting, addresses, listeners) in [
            (
                Role::Http,
                "http-listen",
                &settings.http_listen,
                &mut bound.http,
            ),
            (
                Role::Https,
                "https-listen",
                &settings.https_listen,
                &mut bound.https,
            ),
        ] {
            if listeners.is_empty() {
                for address in addresses {
                    listeners.push(match before.take(role, *address) {
                        Some(sockets) => passed(role, sockets, proxy_threads)?,
                        None => for_role(role, visitors(setting, *address, proxy_threads)?),
                    });
                }
            }
        }
        Ok(bound)
    }

    /// Second handles on all of them.
    pub(super) fn keep(&self) -> io::Result<Kept> {
        let mut kept = Kept::default();
        let mut keep = |role, address, sockets: Vec<TcpListener>| {
            kept.0.push(Listening {
                role,
                address: Some(address),
                is_inherited: self.inherited.contains(&role),
                sockets: sockets.into_iter().map(OwnedFd::from).collect(),
            });
        };
        for (role, listeners) in [(Role::Ssh, &self.ssh), (Role::Metrics, &self.metrics)] {
            for listener in listeners {
                keep(role, listener.local_addr()?, vec![listener.try_clone()?]);
            }
        }
        for (role, listeners) in [(Role::Http, &self.http), (Role::Https, &self.https)] {
            for listeners in listeners {
                keep(role, listeners.local_address(), listeners.duplicates()?);
            }
        }
        Ok(kept)
    }

    /// The sockets systemd passed.
    fn inherit(proxy_threads: usize) -> Result<Bound, Problem> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut passed = ListenFd::from_env();
        let mut bound = Bound {
            ssh: Vec::new(),
            http: Vec::new(),
            metrics: Vec::new(),
            https: Vec::new(),
            inherited: Vec::new(),
        };
        let mut names = names.split(':');
        for index in 0..passed.len() {
            let name = names.next().unwrap_or_default();
            let socket = passed
                .take_tcp_listener(index)
                .map_err(|error| unusable(name, &error))?;
            match (name, socket) {
                (_, None) => {}
                ("ssh", Some(socket)) => bound.ssh.push(socket),
                ("http" | "https", Some(socket)) => {
                    let listeners = Listeners::from_inherited(socket, proxy_threads)
                        .map_err(|error| unusable(name, &error))?;
                    if name == "https" {
                        bound.https.push(listeners.tls());
                    } else {
                        bound.http.push(listeners);
                    }
                }
                (name, Some(_)) => return Err(unknown(name)),
            }
        }
        Ok(bound)
    }
}

/// The sockets of ports of apps that the server before has passed.
pub(super) fn passed_ports(before: &mut Passed, threads: usize) -> Result<Vec<Listeners>, Problem> {
    let mut all = Vec::new();
    for role in [Role::AppHttp, Role::AppHttps] {
        for sockets in before.take_all(role) {
            all.push(passed(role, sockets, threads)?);
        }
    }
    Ok(all)
}

/// Listens on what the server before has passed for one address.
fn passed(role: Role, sockets: Vec<TcpListener>, threads: usize) -> Result<Listeners, Problem> {
    let listeners = Listeners::from_passed(sockets, threads).map_err(|error| {
        Problem::new(
            Kind::Unavailable,
            "A socket of the server before cannot be used",
            error.to_string(),
            "",
        )
    })?;
    Ok(for_role(role, listeners))
}

fn for_role(role: Role, listeners: Listeners) -> Listeners {
    if matches!(role, Role::Https | Role::AppHttps) {
        listeners.tls()
    } else {
        listeners
    }
}

/// Listens where visitors of the apps connect.
fn visitors(setting: &str, address: SocketAddr, threads: usize) -> Result<Listeners, Problem> {
    Listeners::bind(address, threads).map_err(|error| {
        let (BindError::InUse { source, .. }
        | BindError::NotPermitted { source, .. }
        | BindError::Failed { source, .. }) = &error;
        failed(setting, address, source)
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    // The standard library sets SO_REUSEADDR, so that a restart need not wait for old connections.
    TcpListener::bind(address)
}

fn failed(setting: &str, address: SocketAddr, error: &io::Error) -> Problem {
    let what = format!("mini cannot listen on {address}");
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let holder = holder::of(address.port()).unwrap_or_else(|| "another process".to_owned());
            Problem::new(
                Kind::Unavailable,
                what,
                format!("{holder} listens there already"),
                format!(
                    "Stop it, or choose another port: `--{setting} {}:PORT`{}",
                    host(address),
                    if setting == "https-listen" {
                        "; `--https-listen off` does without HTTPS"
                    } else {
                        ""
                    }
                ),
            )
        }
        io::ErrorKind::PermissionDenied => Problem::new(
            Kind::Unavailable,
            what,
            "ports below 1024 need root or the capability CAP_NET_BIND_SERVICE",
            format!(
                "Start mini through systemd, or choose a higher port: `--{setting} {}:8080`",
                host(address)
            ),
        ),
        io::ErrorKind::AddrNotAvailable => Problem::new(
            Kind::Unavailable,
            what,
            format!("{} is not an address of this machine", address.ip()),
            "`ip address` shows those it has",
        ),
        _ => Problem::new(Kind::Unavailable, what, error.to_string(), ""),
    }
}

fn host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

fn unusable(name: &str, error: &io::Error) -> Problem {
    Problem::new(
        Kind::Unavailable,
        format!("The socket `{name}` that systemd passed cannot be used"),
        error.to_string(),
        "Check the `.socket` units: mini takes listening TCP sockets",
    )
}

fn unknown(name: &str) -> Problem {
    Problem::new(
        Kind::Unavailable,
        format!("systemd passed a socket named `{}`", name.escape_debug()),
        "mini takes sockets named `ssh`, `http` and `https`",
        "Set FileDescriptorName= in the `.socket` unit",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_told_with_who_has_it() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        let error = listen(address).unwrap_err();
        let problem = failed("ssh-listen", address, &error);
        assert_eq!(problem.what, format!("mini cannot listen on {address}"));
        assert!(
            problem.why.contains(&std::process::id().to_string()),
            "{}",
            problem.why
        );
        assert!(
            problem.next.contains("--ssh-listen 127.0.0.1:PORT"),
            "{}",
            problem.next
        );
    }
}
