//! Every setting, once: its name, its values, what it does, and where it goes.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::Settings;
use super::values::{bytes, duration, number, parsed, yes_or_no};

/// One setting. `ssh-listen` is the flag `--ssh-listen`, the variable `MINI_SSH_LISTEN` and the key `ssh-listen`.
pub(in crate::boot) struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What a value looks like.
    pub value: &'static str,
    /// What it does.
    pub help: &'static str,
    /// Whether it may be given several times.
    pub is_list: bool,
    /// Puts the values of one source, at least one, into the settings; they replace those of a weaker source.
    pub apply: fn(&mut Settings, &[String]) -> Result<(), String>,
}

fn each<T>(values: &[String], read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    values.iter().map(|value| read(value)).collect()
}

/// The last of the values; a setting that is no list is given once.
fn one(values: &[String]) -> &str {
    values.last().map_or("", String::as_str)
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("`{text}` is not an address, give ADDR:PORT such as 0.0.0.0:2222 or [::]:2222")
    })
}

/// Addresses, or none where the only value says so.
fn addresses_or_off(values: &[String]) -> Result<Vec<SocketAddr>, String> {
    match values {
        [value] if value == "off" => Ok(Vec::new()),
        values => each(values, address),
    }
}

fn mirror(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((image, instead)) if !image.is_empty() && !instead.is_empty() => {
            Ok((image.to_owned(), instead.to_owned()))
        }
        _ => Err(format!(
            "`{text}` is not a mirror, give IMAGE=OTHER such as node=registry.lan/node"
        )),
    }
}

macro_rules! settings {
    ($($name:literal $value:literal $kind:ident $help:literal $apply:expr;)+) => {
        /// All settings, in the order of the help page.
        pub(in crate::boot) const SETTINGS: &[Setting] = &[
            $(Setting { name: $name, value: $value, help: $help, is_list: settings!(@$kind), apply: $apply },)+
        ];
    };
    (@many) => { true };
    (@single) => { false };
}

settings! {
    "data-dir" "DIR" single "Where everything is kept"
        |s, v| { s.data_dir = PathBuf::from(one(v)); Ok(()) };
    "ssh-listen" "ADDR:PORT" many "Where SSH listens; port 0 picks a free one"
        |s, v| { s.ssh_listen = each(v, address)?; Ok(()) };
    "http-listen" "ADDR:PORT" many "Where visitors of the apps connect; port 0 picks a free one"
        |s, v| { s.http_listen = each(v, address)?; Ok(()) };
    "https-listen" "ADDR:PORT" many "The same with HTTPS, for apps that have a certificate; off for none"
        |s, v| { s.https_listen = addresses_or_off(v)?; Ok(()) };
    "base-domain" "NAME" many "Every app answers at APP.NAME"
        |s, v| { s.base_domains = each(v, parsed)?; Ok(()) };
    "authorized-key" "FILE" many "Public SSH keys that may log in, added at start"
        |s, v| { s.authorized_keys = each(v, |path| Ok(PathBuf::from(path)))?; Ok(()) };
    "create-apps" "BOOL" single "Whether the first push to a name creates the app"
        |s, v| { s.creates_apps = yes_or_no(one(v))?; Ok(()) };
    "docker-socket" "PATH" single "The socket of Docker; otherwise DOCKER_HOST, else /var/run/docker.sock"
        |s, v| { s.docker_socket = Some(one(v).to_owned()); Ok(()) };
    "network-pool" "RANGE" single "The IPv4 range the networks of the apps are cut from"
        |s, v| { s.network_pool = parsed(one(v))?; Ok(()) };
    "image-mirror" "IMAGE=OTHER" many "Another name for a base image, for hosts that reach no public registry"
        |s, v| { s.image_mirrors = each(v, mirror)?.into_iter().collect(); Ok(()) };
    "build-timeout" "DURATION" single "How long a build may take"
        |s, v| { s.build_timeout = duration(one(v))?; Ok(()) };
    "takeover-wait" "DURATION" single "How long a takeover waits for pushes and commands that go on; otherwise the build timeout"
        |s, v| { s.takeover_wait = Some(duration(one(v))?); Ok(()) };
    "builds-at-once" "NUMBER" single "How many builds may go on at once"
        |s, v| { s.builds_at_once = number(one(v), 1, 1000)?; Ok(()) };
    "keep-releases" "NUMBER" single "How many releases with an image of their own are kept of an app"
        |s, v| { s.keep_releases = number(one(v), 1, 10_000)?; Ok(()) };
    "min-free-space" "SIZE" single "Nothing is built with less free disk than this"
        |s, v| { s.disk_floor.bytes = bytes(one(v))?; Ok(()) };
    "min-free-percent" "NUMBER" single "Nothing is built with less free disk than this, in per cent"
        |s, v| { s.disk_floor.percent = number(one(v), 0, 99)?; Ok(()) };
    "max-upload" "SIZE" single "Largest repository that is built, the sum of its files"
        |s, v| { s.upload.total_bytes = bytes(one(v))?; Ok(()) };
    "max-upload-entries" "NUMBER" single "Most files in a repository that is built"
        |s, v| { s.upload.entries = number(one(v), 1, 100_000_000)?; Ok(()) };
    "check-timeout" "DURATION" single "How long a web process may take to listen on its port"
        |s, v| { s.checks.listen_within = duration(one(v))?; Ok(()) };
    "check-uptime" "DURATION" single "How long another process must stay up to count as started"
        |s, v| { s.checks.uptime = duration(one(v))?; Ok(()) };
    "memory-limit" "SIZE" single "Memory of each process; without it there is no limit"
        |s, v| { s.limits.memory_bytes = Some(bytes(one(v))?); Ok(()) };
    "pids-limit" "NUMBER" single "Processes and threads in each container"
        |s, v| { s.limits.pids = number(one(v), 1, 4_194_304)?; Ok(()) };
    "stop-grace" "DURATION" single "How long a process has to end after SIGTERM"
        |s, v| { s.stop_grace = duration(one(v))?; Ok(()) };
    "drain" "DURATION" single "How long requests in flight may take when a release or the server goes"
        |s, v| { s.drain = duration(one(v))?; Ok(()) };
    "restart-limit" "NUMBER" single "How often a process that ends by itself is started again"
        |s, v| { s.restart_limit = number(one(v), 0, 1_000_000)?; Ok(()) };
    "log-format" "FORMAT" single "The form of the server's log: text or json"
        |s, v| {
            s.has_json_log = match one(v) {
                "json" => true,
                "text" => false,
                other => return Err(format!("`{other}` is not a form, there are text and json")),
            };
            Ok(())
        };
}
