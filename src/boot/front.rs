//! What is reached from outside: all listening sockets and the proxy. It outlives a control plane that is closed and
//! started again.

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

use mini_proxy::{Listeners, Proxy, ProxySettings};
use tokio::sync::watch;

use super::listeners::{self, Bound};
use super::settings::Settings;
use super::takeover::{Door, Kept, Listening, Passed, Role};
use crate::access_log::AccessLogs;
use crate::commands::{CertificateAuthority, ServerFacts};
use crate::http::ApiSocket;
use crate::model::{Kind, Problem, Timestamp};

/// See the module.
pub(super) struct Front {
    pub proxy: Proxy,
    /// Ends with the proxy, some time after it: see [`AccessLogs::close`].
    pub access_logs: AccessLogs,
    /// Second handles on all sockets but those of ports of apps, which come and go.
    pub kept: Kept,
    /// Sockets of ports of apps that the server before has passed, until the reconciler takes them.
    passed_ports: Mutex<Vec<Listeners>>,
    pub api: Arc<ApiSocket>,
    pub door: Door,
    /// Visitors come by sockets that somebody else keeps open, such as systemd.
    pub stays_open: bool,
    /// The upstreams that the server before this one may still send requests to.
    pub used_before: watch::Sender<BTreeSet<String>>,
    pub facts: ServerFacts,
}

impl Front {
    /// Listens, on what was passed where the settings name it, and starts the proxy, which accepts from its first table
    /// on. Whoever calls holds the lock of the data directory.
    pub(super) fn open(
        settings: &Settings,
        mut passed: Passed,
        used_before: BTreeSet<String>,
    ) -> Result<Front, Problem> {
        let proxy_settings = ProxySettings {
            max_connections_per_address: settings.max_connections_per_address,
            trusted_proxies: settings.trusted_proxies.clone(),
            proxy_protocol: settings.proxy_protocol,
            ..ProxySettings::default()
        };
        let bound = Bound::bind(settings, proxy_settings.threads, &mut passed)?;
        let facts = facts(settings, &bound);
        let mut kept = bound.keep().map_err(|error| not_kept(&error))?;
        let passed_ports = listeners::passed_ports(&mut passed, proxy_settings.threads)?;
        let api = passed.take_unix(Role::Api);
        let api = match api {
            Some(socket) => ApiSocket::from_passed(&settings.data_dir, socket),
            None => ApiSocket::bind(&settings.data_dir),
        };
        let api = api.map_err(|error| no_socket("The socket of the API", &error))?;
        let door = Door::open(&settings.data_dir, passed.take_unix(Role::Door))
            .map_err(|error| no_socket("The socket for takeovers", &error))?;
        let api_socket = api.listener.as_fd().try_clone_to_owned();
        kept.0.push(Listening {
            role: Role::Api,
            address: None,
            is_inherited: false,
            sockets: vec![api_socket.map_err(|error| not_kept(&error))?],
        });
        kept.0
            .push(door.duplicate().map_err(|error| not_kept(&error))?);
        passed.tell_rest();
        let listeners: Vec<Listeners> = bound.http.into_iter().chain(bound.https).collect();
        let stays_open = !listeners.is_empty() && listeners.iter().all(Listeners::stays_open);
        let proxy = Proxy::start(listeners, proxy_settings).map_err(|error| {
            Problem::new(
                Kind::Unavailable,
                "The proxy could not be started",
                error.to_string(),
                "",
            )
        })?;
        let access_logs = AccessLogs::open(&settings.data_dir, settings.access_log_bytes)
            .map_err(|error| no_access_log(&error))?;
        if settings.has_access_log {
            let records = proxy.handle().access_log(settings.access_log);
            access_logs
                .write(records)
                .map_err(|error| no_access_log(&error))?;
        }
        Ok(Front {
            proxy,
            access_logs,
            kept,
            passed_ports: Mutex::new(passed_ports),
            api: Arc::new(api),
            door,
            stays_open,
            used_before: watch::Sender::new(used_before),
            facts,
        })
    }

    /// The sockets of ports of apps that the server before has passed; none the second time.
    pub(super) fn take_passed_ports(&self) -> Vec<Listeners> {
        let mut passed = self.passed_ports.lock();
        let passed = passed.as_deref_mut().map(std::mem::take);
        passed.unwrap_or_default()
    }

    /// Second handles on the sockets of ports of apps, those that are open now.
    pub(super) fn kept_ports(&self) -> io::Result<Kept> {
        let mut kept = Kept::default();
        for listeners in self.proxy.handle().port_listeners()? {
            kept.0.push(Listening {
                role: match listeners.is_tls() {
                    true => Role::AppHttps,
                    false => Role::AppHttp,
                },
                address: Some(listeners.local_address()),
                is_inherited: false,
                sockets: listeners
                    .duplicates()?
                    .into_iter()
                    .map(OwnedFd::from)
                    .collect(),
            });
        }
        Ok(kept)
    }

    /// Closes all sockets but those the proxy has.
    pub(super) fn close(self) -> Proxy {
        self.proxy
    }

    /// Lets go of all sockets but those the proxy has, as another process serves on them.
    pub(super) fn leave(mut self) -> (Proxy, watch::Sender<BTreeSet<String>>) {
        self.api.set_passed_on();
        self.door.set_passed_on();
        (self.proxy, self.used_before)
    }
}

fn facts(settings: &Settings, bound: &Bound) -> ServerFacts {
    let addresses = |listeners: &[Listeners]| -> Vec<SocketAddr> {
        listeners.iter().map(Listeners::local_address).collect()
    };
    let plain = |listeners: &[TcpListener]| -> Vec<SocketAddr> {
        let addresses = listeners.iter().map(TcpListener::local_addr);
        addresses.filter_map(Result::ok).collect()
    };
    ServerFacts {
        data_dir: settings.data_dir.clone(),
        settings_file: settings.file.clone(),
        ssh: plain(&bound.ssh),
        http: addresses(&bound.http),
        https: addresses(&bound.https),
        metrics: plain(&bound.metrics),
        base_domains: settings.base_domains.clone(),
        certificate_authority: settings
            .automatic
            .settings()
            .map(|acme| CertificateAuthority {
                directory: acme.authority.directory.clone(),
                has_wildcards: acme.dns_hook.is_some(),
            }),
        creates_apps: settings.creates_apps,
        started_at: Timestamp::now(),
    }
}

fn no_socket(what: &str, error: &io::Error) -> Problem {
    Problem::new(
        Kind::Unavailable,
        format!("{what} could not be made"),
        error.to_string(),
        "Check that the data directory is on a local file system and may be written",
    )
}

fn no_access_log(error: &io::Error) -> Problem {
    Problem::new(
        Kind::Unavailable,
        "The access log could not be opened",
        error.to_string(),
        "Check that `logs` in the data directory may be written, or turn it off: `access-log = false`",
    )
}

fn not_kept(error: &io::Error) -> Problem {
    Problem::new(
        Kind::Unavailable,
        "The listening sockets could not be kept",
        error.to_string(),
        "Raise the limit of open files of this process",
    )
}
