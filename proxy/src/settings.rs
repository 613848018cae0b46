//! What can be set, and the defaults with their reasons.

use crate::gate::{Network, any_contains};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

/// How a [`Proxy`](crate::Proxy) behaves. All fields have a default; change what differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProxySettings {
    /// Data threads, each with its own runtime. Default: one per core this process may use.
    pub threads: usize,
    /// How long a connection to an upstream may take to be made. Default 5 s: a live process on the same
    /// machine answers in microseconds; a removed container's address fails by itself after about 3 s.
    pub connect_timeout: Duration,
    /// How long an upstream may stay silent before its answer begins, from the last byte of the request it
    /// was given. Default 60 s, as nginx and Dokku have it. Afterwards the client gets a 504.
    pub first_byte_timeout: Duration,
    /// How long a client may take to send a request head, and how long an idle client connection of HTTP/1
    /// is kept. Default 10 s. A head that was begun is answered 408 then. An idle connection of HTTP/2 is kept for
    /// one to two minutes.
    pub header_read_timeout: Duration,
    /// How long a client may take nothing of an answer that waits for it, then its connection ends. Default 60 s, as
    /// nginx has it (`send_timeout`). Upgraded connections may wait for ever.
    pub write_timeout: Duration,
    /// How long a client of HTTP/1 that has ended its sending side may get nothing of its answer; then it is taken to have
    /// left, which looks the same. Default 10 s: nginx does not wait at all, haproxy as long as for the answer, and most such
    /// clients have left. One whose connection breaks has left at once.
    pub half_closed_timeout: Duration,
    /// How long the body of a request may be late by the rate of its service
    /// ([`Policy::min_upload_rate`](crate::Policy::min_upload_rate)). Default 20 s, as Apache's `mod_reqtimeout` has it.
    pub upload_grace: Duration,
    /// How long a TLS handshake may take. Default 10 s.
    pub tls_handshake_timeout: Duration,
    /// Largest request head in bytes, first line included; more is answered 431. Default 64 KiB.
    pub max_header_bytes: usize,
    /// Idle connections kept to one upstream by one thread. Default 256: clients of HTTP/2 bring hundreds of
    /// requests at once, and what is not kept has to be made again for the next.
    pub max_idle_per_upstream: usize,
    /// How long an idle connection to an upstream is kept, to within a quarter. Default 4 s: below the 5 s
    /// after which Node's and uvicorn's servers close theirs, so that a request rarely meets a closing one.
    pub idle_timeout: Duration,
    /// How many requests of one service may wait in one thread, while it is paused or has no upstream. Default 1000;
    /// more are answered 503 with `Retry-After`.
    pub max_waiting: usize,
    /// How long one request waits for a paused service, then it is answered 503 with `Retry-After`. Default 30 s:
    /// what most clients wait for an answer.
    pub pause_wait: Duration,
    /// How long requests wait for a service that has lost its last upstream, counted from the first that found none.
    /// Default 5 s: a process that crashed is back within one or two.
    pub restart_wait: Duration,
    /// Connections one client address may have open, an IPv6 one by its first half; more are closed at once. Default
    /// none, for behind one address may be a whole company, or a proxy in front of this one.
    pub max_connections_per_address: Option<u32>,
    /// Proxies in front of this one. What requests from them say of their client (`X-Forwarded-For` or `Forwarded`,
    /// `X-Forwarded-Proto` and `-Port`, `X-Request-Start`, `X-Request-Id`, `traceparent`) is believed, and
    /// `max_connections_per_address` does not count them. Default none: what anybody says of that is replaced.
    pub trusted_proxies: Vec<Network>,
    /// Whether each connection from `trusted_proxies` begins with a header of the PROXY protocol, version 1 or 2, which
    /// names the client; one without is closed. Connections of others have none. Default no.
    pub proxy_protocol: bool,
}

impl ProxySettings {
    /// Whether an address is a trusted proxy's.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        any_contains(&self.trusted_proxies, address)
    }
}

impl Default for ProxySettings {
    fn default() -> ProxySettings {
        ProxySettings {
            threads: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(60),
            header_read_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(60),
            half_closed_timeout: Duration::from_secs(10),
            upload_grace: Duration::from_secs(20),
            tls_handshake_timeout: Duration::from_secs(10),
            max_header_bytes: 64 * 1024,
            max_idle_per_upstream: 256,
            idle_timeout: Duration::from_secs(4),
            max_waiting: 1000,
            pause_wait: Duration::from_secs(30),
            restart_wait: Duration::from_secs(5),
            max_connections_per_address: None,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
        }
    }
}
