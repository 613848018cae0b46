//! The listening sockets: inherited from systemd, or bound here.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use mini_proxy::{BindError, Listeners};

use super::holder;
use super::settings::Settings;
use crate::model::{Kind, Problem};

/// What the server listens on, before it serves.
pub(super) struct Bound {
    pub ssh: Vec<TcpListener>,
    pub http: Vec<Listeners>,
    pub metrics: Vec<TcpListener>,
    pub https: Vec<Listeners>,
}

impl Bound {
    /// Takes the sockets systemd passed (sd_listen_fds(3), by the names `ssh`, `http` and `https`), and binds the
    /// settings' addresses for those it did not pass.
    pub(super) fn bind(settings: &Settings, proxy_threads: usize) -> Result<Bound, Problem> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut passed = ListenFd::from_env();
        let mut bound = Bound {
            ssh: Vec::new(),
            http: Vec::new(),
            metrics: Vec::new(),
            https: Vec::new(),
        };
        for address in &settings.metrics_listen {
            bound.metrics.push(
                listen(*address).map_err(|error| failed("metrics-listen", *address, &error))?,
            );
        }
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
        if bound.ssh.is_empty() {
            for address in &settings.ssh_listen {
                bound.ssh.push(
                    listen(*address).map_err(|error| failed("ssh-listen", *address, &error))?,
                );
            }
        }
        if bound.http.is_empty() {
            for address in &settings.http_listen {
                bound
                    .http
                    .push(visitors("http-listen", *address, proxy_threads)?);
            }
        }
        if bound.https.is_empty() {
            for address in &settings.https_listen {
                let listeners = visitors("https-listen", *address, proxy_threads)?;
                bound.https.push(listeners.tls());
            }
        }
        Ok(bound)
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
            let holder = holder::of(address).unwrap_or_else(|| "another process".to_owned());
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
