//! `GET /metrics`: the figures of the proxy, of the process and of what is deployed.

use std::fs;

use mini_proxy::{Counters, ServiceCounts};
use rustix::process::{Resource, getrlimit};

use super::exposition::{Exposition, Kind};
use crate::commands::Platform;
use crate::model::{Problem, Timestamp};
use crate::store::Census;

/// Answers by class, in the order of [`ServiceCounts::by_class`].
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// How times are counted in /proc (proc(5)): a hundredth of a second on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// All figures as one text.
pub(super) async fn text(platform: &Platform) -> Result<String, Problem> {
    let census = platform.store.census().await?;
    let platform = platform.clone();
    // With many apps it is megabytes of text, and the process is read from files.
    let written = tokio::task::spawn_blocking(move || {
        let mut out = Exposition::default();
        proxy(&mut out, &platform.proxy.counters());
        deployed(&mut out, &census);
        ports(&mut out, &platform);
        process(&mut out, platform.facts.started_at);
        out.into_text()
    });
    written.await.map_err(|error| {
        tracing::error!(%error, "the figures could not be written");
        Problem::new(
            crate::model::Kind::Internal,
            "The figures could not be written",
            "",
            "",
        )
    })
}

/// Ports of apps beside the server's own. Which ones are closed and why, `doctor` says.
fn ports(out: &mut Exposition, platform: &Platform) {
    let closed = platform.reconciler.view().borrow().closed_ports.len();
    out.family(
        "mini_app_ports",
        Kind::Gauge,
        "Ports of apps beside the server's own, by whether they could be opened.",
    );
    for (state, count) in [
        ("open", platform.proxy.open_ports().len()),
        ("closed", closed),
    ] {
        out.sample("mini_app_ports", &[("state", state)], count as u64);
    }
}

fn proxy(out: &mut Exposition, counters: &Counters) {
    let services = &counters.services;
    out.family(
        "mini_http_requests_total",
        Kind::Counter,
        "Requests answered, by app and class of the status.",
    );
    for (app, counts) in services {
        classes(out, "mini_http_requests_total", Some(app), counts);
    }
    out.family(
        "mini_http_unrouted_requests_total",
        Kind::Counter,
        "Requests that no app answered, by class of the status.",
    );
    classes(
        out,
        "mini_http_unrouted_requests_total",
        None,
        &counters.unrouted,
    );
    type Figure = fn(&ServiceCounts) -> u64;
    let figures: [(&str, Kind, &str, Figure); 7] = [
        (
            "mini_http_request_bytes_total",
            Kind::Counter,
            "Bytes of request bodies forwarded to apps.",
            |of| of.request_bytes,
        ),
        (
            "mini_http_response_bytes_total",
            Kind::Counter,
            "Bytes of answer bodies forwarded from apps.",
            |of| of.response_bytes,
        ),
        (
            "mini_http_retries_total",
            Kind::Counter,
            "Attempts repeated, because a connection had died or a process refused.",
            |of| of.retries,
        ),
        (
            "mini_http_ejections_total",
            Kind::Counter,
            "Processes left out for a while, because they took no connections or broke them off.",
            |of| of.ejections,
        ),
        (
            "mini_http_held_requests_total",
            Kind::Counter,
            "Requests that had to wait, because the app was paused or no process of it was ready.",
            |of| of.held,
        ),
        (
            "mini_http_requests_waiting",
            Kind::Gauge,
            "Requests that wait now.",
            |of| of.waiting as u64,
        ),
        (
            "mini_http_requests_in_flight",
            Kind::Gauge,
            "Requests and upgraded connections that have begun and not ended.",
            |of| of.in_flight,
        ),
    ];
    for (name, kind, help, figure) in figures {
        out.family(name, kind, help);
        for (app, counts) in services {
            out.sample(name, &[("app", app)], figure(counts));
        }
    }
    out.family(
        "mini_http_request_duration_seconds",
        Kind::Histogram,
        "Time from the head of a request to the end of its answer, upgraded connections left out.",
    );
    for (app, counts) in services {
        out.histogram(
            "mini_http_request_duration_seconds",
            ("app", app),
            &counts.durations,
        );
    }
    out.family(
        "mini_http_first_byte_seconds",
        Kind::Histogram,
        "Time from the head of a request to the head of the app's answer.",
    );
    for (app, counts) in services {
        out.histogram(
            "mini_http_first_byte_seconds",
            ("app", app),
            &counts.first_bytes,
        );
    }
    out.single(
        "mini_http_connections_open",
        Kind::Gauge,
        "Connections of visitors that are open.",
        counters.open_connections,
    );
    out.single(
        "mini_http_connections_total",
        Kind::Counter,
        "Connections of visitors accepted.",
        counters.accepted_connections,
    );
    let handshakes = [
        ("done", counters.tls_handshakes),
        ("failed", counters.failed_tls_handshakes),
    ];
    out.family(
        "mini_tls_handshakes_total",
        Kind::Counter,
        "TLS handshakes with visitors, by how they ended.",
    );
    for (result, count) in handshakes {
        out.sample("mini_tls_handshakes_total", &[("result", result)], count);
    }
    out.single(
        "mini_proxy_protocol_refused_total",
        Kind::Counter,
        "Connections of trusted proxies closed for want of a whole header of the PROXY protocol.",
        counters.refused_proxy_headers,
    );
    out.single(
        "mini_access_log_dropped_total",
        Kind::Counter,
        "Requests that are missing in the access logs.",
        counters.dropped_log_records,
    );
}

fn classes(out: &mut Exposition, name: &str, app: Option<&str>, counts: &ServiceCounts) {
    for (class, count) in CLASSES.iter().zip(counts.by_class) {
        match app {
            Some(app) => out.sample(name, &[("app", app), ("class", class)], count),
            None => out.sample(name, &[("class", class)], count),
        }
    }
}

fn deployed(out: &mut Exposition, census: &Census) {
    out.single("mini_apps", Kind::Gauge, "Apps.", census.apps);
    let by_status = [
        (
            "mini_releases",
            "Releases that are kept, by status.",
            &census.releases,
        ),
        (
            "mini_deploys",
            "Deploys that are remembered, 20 of each app, by status.",
            &census.deploys,
        ),
    ];
    for (name, help, counts) in by_status {
        out.family(name, Kind::Gauge, help);
        for (status, count) in counts {
            out.sample(name, &[("status", status)], count);
        }
    }
}

/// Under the names that Prometheus' own clients use. What cannot be read is left out.
fn process(out: &mut Exposition, started_at: Timestamp) {
    out.family("mini_build_info", Kind::Gauge, "The version that runs.");
    out.sample("mini_build_info", &[("version", crate::VERSION)], 1);
    let start = started_at.as_millisecond() as f64 / 1000.0;
    out.single(
        "process_start_time_seconds",
        Kind::Gauge,
        "When the server started, in seconds since 1970.",
        start,
    );
    if let Some(seconds) = fs::read_to_string("/proc/self/stat")
        .ok()
        .and_then(|stat| cpu_seconds(&stat))
    {
        out.single(
            "process_cpu_seconds_total",
            Kind::Counter,
            "Processor time used.",
            seconds,
        );
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(kib) = status_figure(&status, "VmRSS") {
        out.single(
            "process_resident_memory_bytes",
            Kind::Gauge,
            "Memory in use.",
            kib * 1024,
        );
    }
    if let Some(threads) = status_figure(&status, "Threads") {
        out.single("process_threads", Kind::Gauge, "Threads.", threads);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        out.single(
            "process_open_fds",
            Kind::Gauge,
            "File descriptors in use.",
            open.count(),
        );
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        out.single(
            "process_max_fds",
            Kind::Gauge,
            "File descriptors there may be.",
            most,
        );
    }
}

/// The number behind `key:` in /proc/self/status.
fn status_figure(status: &str, key: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// User and system time in /proc/self/stat: fields 14 and 15; the second, the name in brackets, may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_read_as_the_kernel_writes_it() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 250 150 0 0 20 0 9 0 100 1 2";
        assert_eq!(cpu_seconds(stat), Some(4.0));
        assert_eq!(cpu_seconds("7 (x) S"), None);
        let status = "Name:\tmini\nVmRSS:\t   2048 kB\nThreads:\t9\n";
        assert_eq!(status_figure(status, "VmRSS"), Some(2048));
        assert_eq!(status_figure(status, "Threads"), Some(9));
        assert_eq!(status_figure(status, "VmHWM"), None);
    }

    #[test]
    fn requests_connections_and_latencies_have_their_families() {
        let mut counters = Counters {
            open_connections: 2,
            accepted_connections: 5,
            ..Counters::default()
        };
        let shop = counters.services.entry("shop".to_owned()).or_default();
        shop.by_class = [0, 3, 0, 0, 1];
        shop.durations.observe(std::time::Duration::from_millis(3));
        counters.unrouted.by_class = [0, 0, 0, 4, 0];
        let mut out = Exposition::default();
        proxy(&mut out, &counters);
        let text = out.into_text();
        for line in [
            "mini_http_requests_total{app=\"shop\",class=\"2xx\"} 3",
            "mini_http_requests_total{app=\"shop\",class=\"5xx\"} 1",
            "mini_http_unrouted_requests_total{class=\"4xx\"} 4",
            "mini_http_request_duration_seconds_bucket{app=\"shop\",le=\"0.004\"} 1",
            "mini_http_request_duration_seconds_count{app=\"shop\"} 1",
            "mini_http_connections_total 5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
