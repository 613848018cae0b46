//! Connections that a proxy in front hands on with a header of the PROXY protocol.

use crate::client::trusting;
use crate::http2::speak;
use crate::requests::mirror;
use crate::secure::{Caller, SecureWorld, certificate};
use crate::world::{App, Client, GET, World, header, patiently, settings};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use mini_proxy::ProxySettings;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const LINE: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 8443\r\n";

/// Version 2: from 2001:db8::1, port 1, to 2001:db8::2, port 443; with TLS in front and an addition nobody knows.
fn binary() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x33".to_vec();
    for last in [1, 2] {
        header.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    header.extend([0, 1, 1, 0xbb]);
    header.extend(b"\x20\0\x05\x01\0\0\0\0\xe0\0\x04what");
    header
}

fn handed_on() -> ProxySettings {
    ProxySettings {
        proxy_protocol: true,
        ..trusting(&[("127.0.0.1", 32)])
    }
}

async fn connect(address: SocketAddr, first: &[u8]) -> Client {
    let mut client = Client::connect(address).await;
    client.stream.write_all(first).await.unwrap();
    client.stream.flush().await.unwrap();
    client
}

async fn until_refused(world: &World, count: u64) {
    let refused = async {
        while world.handle.counters().refused_proxy_headers < count {
            tokio::task::yield_now().await;
        }
    };
    patiently("a header to be refused", refused).await;
}

#[tokio::test]
async fn the_header_names_the_client_of_all_requests_on_its_connection() {
    let app = mirror().await;
    let world = World::with_settings(handed_on(), &[&app]);
    for (first, address, proto, port) in [
        (LINE.to_vec(), "192.0.2.1", "http", "8443"),
        (binary(), "2001:db8::1", "https", "443"),
    ] {
        let mut client = connect(world.address, &first).await;
        for _ in 0..2 {
            // Whose connection it is, is not trusted itself.
            let reply = client
                .ask("GET / HTTP/1.1\r\nHost: app\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: gopher\r\n\r\n")
                .await;
            for (name, expected) in [
                ("x-forwarded-for", address),
                ("x-forwarded-proto", proto),
                ("x-forwarded-port", port),
            ] {
                assert_eq!(header(&reply.body, name), Some(expected), "{reply:?}");
            }
        }
    }
    // Checks of the proxy itself.
    for own in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let mut client = connect(world.address, own).await;
        let seen = client.ask(GET).await.body;
        assert_eq!(
            header(&seen, "x-forwarded-for"),
            Some("127.0.0.1"),
            "{seen}"
        );
    }
    assert_eq!(world.handle.counters().refused_proxy_headers, 0);
}

#[tokio::test]
async fn a_header_may_come_in_pieces_and_together_with_a_request() {
    let app = mirror().await;
    let world = World::with_settings(handed_on(), &[&app]);
    for whole in [LINE.to_vec(), binary()] {
        let mut client = connect(world.address, &[&whole[..], GET.as_bytes()].concat()).await;
        assert_eq!(client.reply().await.status, 200);
        let mut client = connect(world.address, b"").await;
        for byte in &whole {
            client.stream.write_all(&[*byte]).await.unwrap();
            client.stream.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(client.ask(GET).await.status, 200);
    }
}

#[tokio::test]
async fn without_a_whole_header_the_connection_is_closed_and_counted() {
    let app = App::named("one").await;
    let hurried = ProxySettings {
        header_read_timeout: Duration::from_millis(50),
        ..handed_on()
    };
    let world = World::with_settings(hurried, &[&app]);
    let broken: [&[u8]; 5] = [
        GET.as_bytes(),
        b"PROXY TCP4 nonsense\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
        // The rest never comes.
        b"PROXY TCP4 ",
        b"",
    ];
    for (number, first) in broken.into_iter().enumerate() {
        let mut client = connect(world.address, first).await;
        assert_eq!(client.rest().await, "", "{}", first.escape_ascii());
        until_refused(&world, number as u64 + 1).await;
    }
    let mut left = connect(world.address, &binary()[..20]).await;
    left.stream.shutdown().await.unwrap();
    assert_eq!(left.rest().await, "");
    until_refused(&world, 6).await;
    let mut check = connect(world.address, b"").await;
    check.stream.shutdown().await.unwrap();
    assert_eq!(check.rest().await, "");
    assert_eq!(world.handle.counters().refused_proxy_headers, 6);
    assert_eq!(app.connections(), 0);
    assert_eq!(
        connect(world.address, LINE).await.ask(GET).await.body,
        "one"
    );
}

#[tokio::test]
async fn others_need_no_header_and_are_not_believed_one() {
    let app = mirror().await;
    let elsewhere = ProxySettings {
        proxy_protocol: true,
        ..trusting(&[("192.0.2.0", 24)])
    };
    let off = trusting(&[("127.0.0.1", 32)]);
    for settings in [elsewhere, off, settings(1)] {
        let world = World::with_settings(settings, &[&app]);
        let seen = world.ask(GET).await.body;
        assert_eq!(
            header(&seen, "x-forwarded-for"),
            Some("127.0.0.1"),
            "{seen}"
        );
        let mut client = connect(world.address, LINE).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
        assert_eq!(world.handle.counters().refused_proxy_headers, 0);
    }
}

#[tokio::test]
async fn http_2_follows_a_header_as_well() {
    let app = mirror().await;
    let world = World::with_settings(handed_on(), &[&app]);
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(&binary()).await.unwrap();
    let mut sender = speak::<_, Empty<Bytes>>(stream).await;
    let request = Request::get("http://app/").body(Empty::new()).unwrap();
    let response = patiently("an answer", sender.send_request(request)).await;
    let body = response.unwrap().into_body().collect().await.unwrap();
    let seen = String::from_utf8(body.to_bytes().to_vec()).unwrap();
    assert_eq!(
        header(&seen, "x-forwarded-for"),
        Some("2001:db8::1"),
        "{seen}"
    );
}

#[tokio::test]
async fn tls_begins_behind_the_header() {
    let (app, shown) = (mirror().await, certificate(&["app"]));
    let world = SecureWorld::start(handed_on(), &[&shown]);
    world.serve(
        &["app"],
        mini_proxy::Service::serving("app", [app.upstream.clone()]),
    );
    let caller = Caller::trusting(&[&shown]);
    for (first, address) in [(LINE.to_vec(), "192.0.2.1"), (binary(), "2001:db8::1")] {
        let mut stream = TcpStream::connect(world.https).await.unwrap();
        stream.write_all(&first).await.unwrap();
        let connector = TlsConnector::from(Arc::clone(&caller.config));
        let handshake = connector.connect("app".try_into().unwrap(), stream);
        let stream = patiently("a handshake", handshake).await.unwrap();
        let mut client = Client {
            stream: BufReader::new(stream),
        };
        let seen = client.ask(GET).await.body;
        assert_eq!(header(&seen, "x-forwarded-for"), Some(address), "{seen}");
        assert_eq!(header(&seen, "x-forwarded-proto"), Some("https"), "{seen}");
    }
    // And not without one.
    assert!(world.connect(&caller, "app").await.is_err());
    assert_eq!(world.handle.counters().refused_proxy_headers, 1);
}

#[tokio::test]
async fn connections_are_counted_by_the_address_that_is_told() {
    let app = App::named("one").await;
    let limited = ProxySettings {
        max_connections_per_address: Some(1),
        ..handed_on()
    };
    let world = World::with_settings(limited, &[&app]);
    let other = b"PROXY TCP4 192.0.2.2 198.51.100.7 1 2\r\n";
    let mut first = connect(world.address, LINE).await;
    assert_eq!(first.ask(GET).await.body, "one");
    assert_eq!(connect(world.address, LINE).await.rest().await, "");
    assert_eq!(
        connect(world.address, other).await.ask(GET).await.body,
        "one"
    );
    assert_eq!(first.ask(GET).await.body, "one");
}
