//! The settings of the server: each is declared once in [`catalogue`], and can come from the file, a `MINI_` variable or
//! a flag.

mod automatic;
mod catalogue;
mod in_force;
mod sources;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use automatic::Automatic;
pub(super) use sources::{Sources, backup_access, flags, in_force, read};

use mini_buildpacks::VersionTable;
use mini_proxy::AccessLogOptions;

use crate::backup::S3Access;
use crate::deploy::{BuildLimits, DiskFloor};
use crate::engine::{Limits, Subnet};
use crate::git::TreeLimits;
use crate::model::{CheckPolicy, DomainName};

/// Where an installed server keeps its state.
pub(super) const DATA_DIR: &str = "/var/lib/mini";
/// Where a user who is not root keeps the state of a server for development: with what else programs keep of that user
/// (XDG base directory specification, `XDG_DATA_HOME`). `variable` answers for the environment.
pub(super) fn home_data_dir(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name: &str| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    data.map(|data| data.join("mini"))
}

/// Where settings are looked for when no other file is named; fine when it is missing.
pub(super) const FILE: &str = "/etc/mini/mini.toml";

/// All settings, with their defaults (DECISIONS.md, Numbers).
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The file they are from, if there is one.
    pub file: Option<PathBuf>,
    pub data_dir: PathBuf,
    pub ssh_listen: Vec<SocketAddr>,
    pub http_listen: Vec<SocketAddr>,
    pub metrics_listen: Vec<SocketAddr>,
    pub https_listen: Vec<SocketAddr>,
    pub base_domains: Vec<DomainName>,
    pub automatic: Automatic,
    pub authorized_keys: Vec<PathBuf>,
    pub creates_apps: bool,
    pub docker_socket: Option<String>,
    pub network_pool: Subnet,
    pub image_mirrors: BTreeMap<String, String>,
    /// Versions there are images for, in place of ours.
    pub versions: Option<Arc<VersionTable>>,
    pub build_limits: BuildLimits,
    pub build_cache_budget_bytes: Option<u64>,
    /// The build timeout, where it is not set.
    pub takeover_wait: Option<Duration>,
    pub builds_at_once: usize,
    pub keep_releases: usize,
    pub disk_floor: DiskFloor,
    pub upload: TreeLimits,
    pub checks: CheckPolicy,
    pub limits: Limits,
    pub stop_grace: Duration,
    pub drain: Duration,
    pub restart_limit: u32,
    /// How many connections one visitor's address may have open; none for any number.
    pub max_connections_per_address: Option<u32>,
    /// Proxies in front of this one, which are believed about who asks.
    pub trusted_proxies: Vec<mini_proxy::Network>,
    /// Whether they begin each connection with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    pub has_access_log: bool,
    pub access_log_bytes: u64,
    pub access_log: AccessLogOptions,
    /// Where buckets for backups are, and who we are there.
    pub backup_access: S3Access,
    pub has_json_log: bool,
}

impl Settings {
    /// The defaults: those of an installed server, or with `dev` those that need no root.
    pub(super) fn new(dev: bool) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let listen = |installed: u16, dev_port: u16| {
            if dev {
                vec![SocketAddr::from(([127, 0, 0, 1], dev_port))]
            } else {
                vec![any_address(installed)]
            }
        };
        Self {
            file: None,
            data_dir: PathBuf::from(DATA_DIR),
            ssh_listen: listen(2222, 2222),
            http_listen: listen(80, 8080),
            metrics_listen: Vec::new(),
            https_listen: listen(443, 8443),
            base_domains: if dev {
                "localhost".parse().into_iter().collect()
            } else {
                Vec::new()
            },
            automatic: Automatic::default(),
            authorized_keys: Vec::new(),
            creates_apps: true,
            docker_socket: None,
            network_pool: Subnet::DEFAULT_POOL,
            image_mirrors: BTreeMap::new(),
            versions: None,
            build_limits: BuildLimits {
                timeout: Duration::from_secs(15 * 60),
                memory_bytes: None,
            },
            build_cache_budget_bytes: None,
            takeover_wait: None,
            builds_at_once: (cores / 2).max(1),
            keep_releases: 5,
            disk_floor: DiskFloor {
                bytes: 1 << 30,
                percent: 5,
            },
            upload: TreeLimits {
                total_bytes: 1 << 30,
                entries: 100_000,
            },
            checks: CheckPolicy::default(),
            limits: Limits {
                memory_bytes: None,
                pids: 512,
            },
            stop_grace: Duration::from_secs(30),
            drain: Duration::from_secs(60),
            restart_limit: 10,
            max_connections_per_address: None,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            has_access_log: true,
            access_log_bytes: 10 << 20,
            access_log: AccessLogOptions::default(),
            backup_access: S3Access::default(),
            has_json_log: false,
        }
    }
}

impl Settings {
    /// What does not go together.
    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = self.automatic.mistakes(!self.https_listen.is_empty());
        let access = &self.backup_access;
        if access.key_id.is_some() != access.secret_key.is_some() {
            mistakes.push(
                "backup-s3-key-id and backup-s3-secret-key: a key has a name and a secret, or is not set at all"
                    .to_owned(),
            );
        }
        if self.proxy_protocol && self.trusted_proxies.is_empty() {
            mistakes.push(
                "proxy-protocol: nobody is believed about whose connection it hands on; name the proxies that do so in \
                 trusted-proxies"
                    .to_owned(),
            );
        }
        mistakes
    }
}

/// All addresses of this machine: those of IPv6, which take IPv4 as well, where the kernel has IPv6.
fn any_address(port: u16) -> SocketAddr {
    let has_ipv6 = std::fs::read("/proc/net/if_inet6").is_ok_and(|list| !list.is_empty());
    if has_ipv6 {
        SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port))
    } else {
        SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, port))
    }
}

#[cfg(test)]
mod tests;
