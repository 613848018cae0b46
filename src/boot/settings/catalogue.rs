//! Every setting, once: its name, its values, what it does, and where it goes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use mini_buildpacks::VersionTable;

use super::Settings;
use super::automatic::{challenge, directory, email, hmac_key, self_check};
use super::values::{bytes, duration, number, parsed, yes_or_no};
use crate::model::{self, DomainName, Secret};
use mini_proxy::Network;

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
    /// Whether its value must not be seen: then it is no flag, for flags are in the process list.
    pub is_secret: bool,
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

fn base_domain(text: &str) -> Result<DomainName, String> {
    let name: DomainName = text
        .parse()
        .map_err(|_| format!("`{text}` is not a domain, give a name such as apps.example.com"))?;
    match text.strip_prefix("*.") {
        Some(rest) => Err(format!(
            "`{text}` stands for many names; give `{rest}`, every app answers one label in front of it"
        )),
        None => Ok(name),
    }
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

/// Ranges of addresses; all that are none are told.
fn networks(values: &[String]) -> Result<Vec<Network>, String> {
    let (networks, wrong): (Vec<_>, Vec<_>) = values
        .iter()
        .map(|text| {
            text.parse::<model::Network>()
                .map_err(|()| format!("`{text}`"))
        })
        .partition(Result::is_ok);
    let wrong: Vec<String> = wrong.into_iter().filter_map(Result::err).collect();
    match wrong.as_slice() {
        [] => Ok(networks
            .into_iter()
            .flatten()
            .map(|network| Network {
                address: network.address,
                prefix: network.prefix,
            })
            .collect()),
        wrong => Err(format!(
            "{}: no address and no range of addresses, give such as 10.0.0.5, 10.0.0.0/8 or 2001:db8::/32",
            wrong.join(", ")
        )),
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

/// Read now, so that its mistakes are told with all the others.
fn version_table(path: &str) -> Result<VersionTable, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("`{path}` cannot be read: {error}"))?;
    VersionTable::parse(&text).map_err(|why| format!("`{path}`: {why}"))
}

/// The URL of a store: a scheme, a host, perhaps a port, and nothing that could hold a secret.
fn store_url(text: &str) -> Result<String, String> {
    let wrong =
        || "the value is no address of a store, give such as https://s3.example.com".to_owned();
    let plain = text.trim_end_matches('/');
    let uri: http::Uri = plain.parse().map_err(|_| wrong())?;
    let is_known = matches!(uri.scheme_str(), Some("http" | "https"));
    let has_host = uri
        .authority()
        .is_some_and(|host| !host.as_str().contains('@'));
    match is_known && has_host && matches!(uri.path(), "" | "/") && uri.query().is_none() {
        true => Ok(plain.to_owned()),
        false => Err(wrong()),
    }
}

fn region(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    match !text.is_empty() && text.chars().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is no region, give such as eu-central-1")),
    }
}

/// The name or the secret of a key. The value is not repeated.
fn key_part(text: &str) -> Result<String, String> {
    match !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err("the value is no part of a key: it is one word".to_owned()),
    }
}

macro_rules! settings {
    ($($name:literal $value:literal $kind:ident $help:literal $apply:expr;)+) => {
        /// All settings, in the order of the help page.
        pub(in crate::boot) const SETTINGS: &[Setting] = &[
            $(Setting { name: $name, value: $value, help: $help, is_list: settings!(@list $kind), is_secret: settings!(@secret $kind), apply: $apply },)+
        ];
    };
    (@list many) => { true };
    (@list $other:ident) => { false };
    (@secret secret) => { true };
    (@secret $other:ident) => { false };
}

settings! {
    "data-dir" "DIR" single "Where everything is kept"
        |s, v| { s.data_dir = PathBuf::from(one(v)); Ok(()) };
    "ssh-listen" "ADDR:PORT" many "Where SSH listens; port 0 picks a free one"
        |s, v| { s.ssh_listen = each(v, address)?; Ok(()) };
    "http-listen" "ADDR:PORT" many "Where visitors of the apps connect; port 0 picks a free one"
        |s, v| { s.http_listen = each(v, address)?; Ok(()) };
    "metrics-listen" "ADDR:PORT" many "Where /metrics and nothing else is served, to whoever connects; without it only on the socket of the API"
        |s, v| { s.metrics_listen = each(v, address)?; Ok(()) };
    "https-listen" "ADDR:PORT" many "The same with HTTPS, for apps that have a certificate; off for none"
        |s, v| { s.https_listen = addresses_or_off(v)?; Ok(()) };
    "base-domain" "NAME" many "Every app answers at APP.NAME"
        |s, v| { s.base_domains = each(v, base_domain)?; Ok(()) };
    "acme-email" "ADDRESS" single "Order certificates for all domains, as this address; by setting it you agree to the terms of the authority"
        |s, v| { s.automatic.email = Some(email(one(v))?); Ok(()) };
    "acme-directory" "URL" single "The authority that issues them: letsencrypt (the default), letsencrypt-staging or the URL of a directory"
        |s, v| { s.automatic.directory = directory(one(v))?; Ok(()) };
    "acme-eab-kid" "ID" single "The account there that ours is bound to, for authorities that ask for one"
        |s, v| { s.automatic.eab_kid = Some(one(v).to_owned()); Ok(()) };
    "acme-eab-hmac-key" "KEY" secret "The key of that account, in base64"
        |s, v| { s.automatic.eab_hmac_key = Some(hmac_key(one(v))?); Ok(()) };
    "acme-ca-file" "FILE" single "Roots the authority itself is trusted by instead of the system's, in PEM form"
        |s, v| { s.automatic.ca_file = Some(PathBuf::from(one(v))); Ok(()) };
    "acme-challenge" "KIND" many "How domains are proved, the preferred way first: http-01, tls-alpn-01, dns-01"
        |s, v| { s.automatic.challenges = Some(each(v, challenge)?); Ok(()) };
    "acme-dns-hook" "PROGRAM" single "Sets DNS records, which wildcards need: PROGRAM present|cleanup NAME VALUE"
        |s, v| { s.automatic.dns_hook = Some(PathBuf::from(one(v))); Ok(()) };
    "acme-self-check" "on|off|PORTS" single "Whether a domain must reach this server before its certificate is ordered; off behind routers that do not lead back"
        |s, v| { s.automatic.self_check = self_check(one(v))?; Ok(()) };
    "acme-resolver" "ADDR:PORT" single "The DNS server the check asks instead of the system's"
        |s, v| { s.automatic.resolver = Some(address(one(v))?); Ok(()) };
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
    "versions-file" "FILE" single "Versions there are images for, in the form of buildpacks/versions.toml; a runtime in it replaces ours"
        |s, v| { s.versions = Some(Arc::new(version_table(one(v))?)); Ok(()) };
    "build-timeout" "DURATION" single "How long a build may take"
        |s, v| { s.build_limits.timeout = duration(one(v))?; Ok(()) };
    "build-memory-limit" "SIZE" single "Memory of a step of a build, which is stopped when it uses more; without it there is no limit"
        |s, v| { s.build_limits.memory_bytes = Some(bytes(one(v))?); Ok(()) };
    "takeover-wait" "DURATION" single "How long a takeover waits for pushes and commands that go on; otherwise the build timeout"
        |s, v| { s.takeover_wait = Some(duration(one(v))?); Ok(()) };
    "builds-at-once" "NUMBER" single "How many builds may go on at once"
        |s, v| { s.builds_at_once = number(one(v), 1, 1000)?; Ok(()) };
    "keep-releases" "NUMBER" single "How many releases with an image of their own are kept of an app"
        |s, v| { s.keep_releases = number(one(v), 1, 10_000)?; Ok(()) };
    "build-cache-budget" "SIZE" single "What Docker's build cache may take, whoever filled it: it is shrunk to this after each deploy; without it it is left alone"
        |s, v| { s.build_cache_budget_bytes = Some(bytes(one(v))?); Ok(()) };
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
    "max-connections-per-address" "NUMBER" single "Connections one visitor's address may have open, those of trusted proxies apart; 0 for no limit"
        |s, v| { s.max_connections_per_address = Some(number(one(v), 0, 1_000_000)?).filter(|most| *most > 0); Ok(()) };
    "trusted-proxies" "ADDRESS|RANGE" many "Proxies in front of this server, such as 10.0.0.5 or 10.0.0.0/8: what they say of who asks is believed (X-Forwarded-For or Forwarded, -Proto, -Port)"
        |s, v| { s.trusted_proxies = networks(v)?; Ok(()) };
    "proxy-protocol" "BOOL" single "Whether their connections begin with a header of the PROXY protocol (version 1 or 2), for HTTP and HTTPS"
        |s, v| { s.proxy_protocol = yes_or_no(one(v))?; Ok(()) };
    "access-log" "BOOL" single "Whether the requests of the apps are logged"
        |s, v| { s.has_access_log = yes_or_no(one(v))?; Ok(()) };
    "access-log-max-size" "SIZE" single "Largest file of an access log; each app has two"
        |s, v| { s.access_log_bytes = bytes(one(v))?; Ok(()) };
    "access-log-queries" "BOOL" single "Whether access logs keep the queries of paths and referrers, which may hold secrets"
        |s, v| { s.access_log.with_queries = yes_or_no(one(v))?; Ok(()) };
    "backup-s3-endpoint" "URL" single "The S3-compatible store that backups to s3://BUCKET/PREFIX go to, https:// or http://; without it Amazon's"
        |s, v| { s.backup_access.endpoint = Some(store_url(one(v))?); Ok(()) };
    "backup-s3-region" "NAME" single "Its region; stores that have none take any"
        |s, v| { s.backup_access.region = region(one(v))?; Ok(()) };
    "backup-s3-key-id" "ID" single "The name of the key that may use the bucket"
        |s, v| { s.backup_access.key_id = Some(key_part(one(v))?); Ok(()) };
    "backup-s3-secret-key" "KEY" secret "The secret of that key"
        |s, v| { s.backup_access.secret_key = Some(Secret::new(key_part(one(v))?)); Ok(()) };
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
