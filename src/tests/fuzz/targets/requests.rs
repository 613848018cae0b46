//! The bytes of a client's connection through the whole proxy, and what its upstreams get of them. The first byte says in how large
//! pieces the client sends, and with its highest bit that the client is a trusted proxy.
//!
//! Never a panic, never a connection that stays; upstreams get well-formed HTTP/1.1 only; and of HTTP/1 exactly the requests that
//! `reference` reads in the client's bytes, in their order and with their bodies, less those that were not forwarded.
#![no_main]

#[path = "../reference.rs"]
mod reference;

use libfuzzer_sys::fuzz_target;
use mini_proxy::{
    Network, PathRoute, Policy, ProxySettings, Redirect, RedirectStatus, RouteTable, Service,
    Target, Upstream, fuzzing,
};
use reference::{Parsed, Reading, Request};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What one upstream got, in the order in which its requests were complete.
#[derive(Default)]
struct Seen {
    complete: Vec<(u16, Request)>,
    /// Requests that stopped before their end.
    cut: usize,
}

fuzz_target!(|bytes: &[u8]| {
    let Some((size, sent)) = bytes.split_first() else {
        return;
    };
    let is_trusted = size & 0x80 != 0;
    let size = match size & 0x7f {
        0 => sent.len().max(1),
        size => usize::from(size),
    };
    let pieces = sent.chunks(size).take(4096).map(<[u8]>::to_vec).collect();
    let seen = Rc::new(RefCell::new(Seen::default()));
    let everybody = Network {
        address: [0, 0, 0, 0].into(),
        prefix: 0,
    };
    let trusted_proxies = if is_trusted {
        vec![everybody]
    } else {
        Vec::new()
    };
    let settings = ProxySettings {
        threads: 1,
        trusted_proxies,
        ..ProxySettings::default()
    };
    let got = fuzzing::converse(table(), settings, pieces, {
        let seen = Rc::clone(&seen);
        move |address, stream| play(address, stream, Rc::clone(&seen))
    });
    let seen = seen.take();
    for (port, request) in &seen.complete {
        let host = request.header("host").unwrap_or_default();
        let host = fuzzing::routing_name(&String::from_utf8_lossy(host));
        let is_its = match port {
            1 => host.as_deref() == Some("app"),
            _ => {
                host.as_deref() == Some("app")
                    || host.as_deref().is_some_and(|host| host.ends_with(".other"))
            }
        };
        assert!(
            is_its,
            "the upstream on port {port} got a request for {host:?}"
        );
    }
    let is_http2 =
        sent.starts_with(PREFACE) || sent.len() < PREFACE.len() && PREFACE.starts_with(sent);
    if is_http2 {
        return;
    }
    let asked = reference::all(sent, Reading::OfProxy);
    let mut rest = asked.iter();
    for (_, forwarded) in &seen.complete {
        let is_asked = rest.any(|asked| asked.is_forwarded_as(forwarded));
        assert!(
            is_asked,
            "an upstream got what the client did not send:\n{forwarded:?}\nasked: {asked:?}\nsent: {:?}",
            sent.escape_ascii().to_string()
        );
    }
    let answers = got
        .windows(9)
        .filter(|window| *window == b"HTTP/1.1 ")
        .count();
    let interim = got
        .windows(25)
        .filter(|window| *window == b"HTTP/1.1 100 Continue\r\n\r\n")
        .count();
    assert!(
        answers - interim <= asked.len() + 1,
        "{answers} answers to {asked:?}: {:?}",
        got.escape_ascii().to_string()
    );
});

fn table() -> RouteTable {
    let upstream = |port| Upstream {
        id: format!("upstream-{port}").into(),
        address: SocketAddr::from(([127, 0, 0, 1], port)),
    };
    let mut table = RouteTable::default();
    let app = Service {
        policy: Arc::new(Policy {
            forwarded: true,
            traceparent: true,
            ..Policy::default()
        }),
        ..Service::serving("app", [upstream(1)])
    };
    let other = Service {
        policy: Arc::new(Policy {
            compression: true,
            max_body_bytes: Some(100),
            ..Policy::default()
        }),
        ..Service::serving("other", [upstream(2)])
    };
    let app = Arc::new(app);
    let other = Arc::new(other);
    table.insert("app".parse().expect("a host"), app);
    table.insert("*.other".parse().expect("a pattern"), Arc::clone(&other));
    let stripped = PathRoute {
        prefix: "/api".parse().expect("a path"),
        is_stripped: true,
        target: Target::Service(other),
    };
    table.insert_path("app".parse().expect("a host"), stripped);
    let redirect = Redirect {
        name: "moved".to_owned(),
        status: RedirectStatus::Permanent,
        to: "https://app/new/*".parse().expect("a destination"),
        hsts: None,
        policy: Arc::default(),
    };
    table.insert_target(
        "moved".parse().expect("a host"),
        Target::Redirect(Arc::new(redirect)),
    );
    table
}

/// An upstream that reads strictly and answers every request when it has all of it.
async fn play(address: SocketAddr, mut stream: DuplexStream, seen: Rc<RefCell<Seen>>) {
    let mut unread = Vec::new();
    loop {
        match reference::next(&unread, Reading::OfUpstream) {
            Parsed::Complete(request, length) => {
                unread.drain(..length);
                let is_upgrade = request.header("upgrade").is_some();
                let answer: &[u8] = match (is_upgrade, request.method.as_slice()) {
                    (true, _) => b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello",
                    (false, b"HEAD") => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
                    (false, b"POST") => b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n",
                    (false, _) => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                };
                seen.borrow_mut().complete.push((address.port(), request));
                if stream.write_all(answer).await.is_err() {
                    return;
                }
                if is_upgrade {
                    // The rest belongs to the new protocol.
                    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                    return;
                }
                continue;
            }
            Parsed::Partial => {}
            Parsed::Invalid(why) => panic!(
                "an upstream got what is no HTTP ({why}): {:?}",
                unread.escape_ascii().to_string()
            ),
        }
        match stream.read_buf(&mut unread).await {
            Ok(1..) => {}
            _ => {
                if !unread.is_empty() {
                    seen.borrow_mut().cut += 1;
                }
                return;
            }
        }
    }
}
