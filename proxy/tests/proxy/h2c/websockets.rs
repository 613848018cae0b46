//! WebSockets to upstreams of HTTP/2 (RFC 8441), and to those that take none over it.

use super::{answer, app, route};
use crate::http2::speak;
use crate::world::{App, World, patiently, table};
use bytes::Bytes;
use hyper::{Request, Response};
use mini_proxy::{Protocol, Service};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// An app that takes WebSockets over HTTP/2, greets, and then sends back what it gets.
async fn sockets() -> App {
    App::raw("sockets", |stream, _| async move {
        let mut builder = h2::server::Builder::new();
        let http = builder.enable_connect_protocol().handshake(stream).await;
        let Ok(mut http) = http else { return };
        while let Some(Ok((request, mut respond))) = http.accept().await {
            tokio::spawn(async move {
                let (head, mut body) = request.into_parts();
                let protocol = head.extensions.get::<h2::ext::Protocol>();
                let is_asked = head.method == http::Method::CONNECT
                    && protocol.is_some_and(|protocol| protocol.as_str() == "websocket")
                    && head.uri == "http://app/chat"
                    && !head.headers.contains_key("sec-websocket-key")
                    && head.headers["x-forwarded-for"] == "127.0.0.1"
                    && head.headers["sec-websocket-version"] == "13";
                let mut answer = Response::new(());
                if !is_asked {
                    *answer.status_mut() = http::StatusCode::NOT_FOUND;
                    let mut stream = respond.send_response(answer, false).unwrap();
                    let text = format!("{} {}", head.method, head.uri);
                    stream.send_data(text.into(), true).unwrap();
                    return;
                }
                let name = "sec-websocket-protocol";
                answer.headers_mut().insert(name, "chat".parse().unwrap());
                let mut stream = respond.send_response(answer, false).unwrap();
                stream.send_data("welcome".into(), false).unwrap();
                while let Some(Ok(bytes)) = body.data().await {
                    body.flow_control().release_capacity(bytes.len()).unwrap();
                    stream.send_data(bytes, false).unwrap();
                }
                stream.send_data(Bytes::new(), true).unwrap();
            });
        }
    })
    .await
}

#[tokio::test]
async fn a_websocket_goes_over_http_2_to_an_upstream_that_takes_it() {
    let app = sockets().await;
    let world = World::with(&[]);
    route(&world, &app);
    let mut client = world.client().await;
    client.send(&format!("{UPGRADE}early")).await;
    let head = client.head().await;
    assert!(
        head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
        "{head}"
    );
    for (name, value) in [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-protocol", "chat"),
        // The example of RFC 6455 section 1.3.
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ] {
        assert_eq!(crate::world::header(&head, name), Some(value), "{head}");
    }
    assert_eq!(client.read_text(12).await, "welcomeearly");
    let long = "x".repeat(200_000);
    client.send(&long).await;
    assert_eq!(client.read_text(long.len()).await, long);
    assert_eq!(world.handle.in_flight("sockets"), 1);
    // Another on the same connection, one that is refused, and what is none.
    let mut second = world.client().await;
    second.send(UPGRADE).await;
    assert!(second.head().await.starts_with("HTTP/1.1 101 "));
    let refused = world.ask(&UPGRADE.replace("/chat", "/other")).await;
    assert_eq!(
        (refused.status, &*refused.body),
        (404, "CONNECT http://app/other")
    );
    let plain = world.ask("GET /plain HTTP/1.1\r\nHost: app\r\n\r\n").await;
    assert_eq!(plain.body, "GET http://app/plain");
    assert_eq!(app.connections(), 1);
    // The end of either side reaches the other.
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, "");
    drop(second);
    world.route(&[]);
    patiently("the drain", world.handle.wait_drained("sockets")).await;
}

#[tokio::test]
async fn a_websocket_over_http_2_stays_one_on_both_sides() {
    let app = sockets().await;
    let world = World::with(&[]);
    route(&world, &app);
    let stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let mut sender = speak::<_, http_body_util::Empty<Bytes>>(stream).await;
    let first = Request::get("http://nobody/")
        .body(Default::default())
        .unwrap();
    assert_eq!(sender.send_request(first).await.unwrap().status(), 404);
    let mut ask = Request::connect("http://app/chat")
        .header("sec-websocket-version", "13")
        .body(http_body_util::Empty::new())
        .unwrap();
    let protocol = hyper::ext::Protocol::from_static("websocket");
    ask.extensions_mut().insert(protocol);
    let mut response = sender.send_request(ask).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("sec-websocket-accept"));
    let upgraded = hyper::upgrade::on(&mut response).await.unwrap();
    let mut socket = hyper_util::rt::TokioIo::new(upgraded);
    socket.write_all(b"hello").await.unwrap();
    let mut echoed = [0; 12];
    patiently("an echo", socket.read_exact(&mut echoed))
        .await
        .unwrap();
    assert_eq!(&echoed, b"welcomehello");
}

/// An app that tells HTTP/2 from HTTP/1.1 by the first bytes, says which it was, and takes WebSockets over the latter only.
async fn both() -> App {
    App::raw("both", |stream, _| async move {
        let mut first = [0; 3];
        if stream.peek(&mut first).await.unwrap() == 3 && &first == b"PRI" {
            let Ok(mut http) = h2::server::handshake(stream).await else {
                return;
            };
            while let Some(Ok((_, mut respond))) = http.accept().await {
                let mut stream = respond.send_response(Response::new(()), false).unwrap();
                stream.send_data("over 2".into(), true).unwrap();
            }
            return;
        }
        let mut stream = tokio::io::BufReader::new(stream);
        let head = crate::world::read_head(&mut stream).await;
        let answer = if head.contains("upgrade: websocket\r\n") {
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nover 1"
        } else {
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nover 1"
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
        let _ = stream.read(&mut [0]).await;
    })
    .await
}

#[tokio::test]
async fn grpc_goes_over_http_2_and_all_else_over_http_1_unless_it_is_said() {
    let app = both().await;
    let world = World::with(&[]);
    let over = async |protocol: Option<Protocol>, content: &str| {
        let plain = Service::serving("app", [app.upstream.clone()]);
        let service = Service {
            protocol: protocol.unwrap_or(plain.protocol),
            ..plain
        };
        world.handle.set_table(table("app", service));
        let ask = format!(
            "POST / HTTP/1.1\r\nHost: app\r\nContent-Type: {content}\r\nContent-Length: 0\r\n\r\n"
        );
        world.ask(&ask).await.body
    };
    let (grpc, json) = ("application/grpc+proto", "application/json");
    assert_eq!(over(None, grpc).await, "over 2");
    assert_eq!(over(None, json).await, "over 1");
    assert_eq!(over(None, "application/grpc-web").await, "over 1");
    assert_eq!(over(Some(Protocol::Http1), grpc).await, "over 1");
    assert_eq!(over(Some(Protocol::H2c), json).await, "over 2");
}

#[tokio::test]
async fn a_websocket_goes_over_http_1_to_an_upstream_that_takes_none_over_http_2() {
    let app = both().await;
    let world = World::with(&[]);
    route(&world, &app);
    let mut client = world.client().await;
    client.send(UPGRADE).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(client.read_text(6).await, "over 1");
    let plain = world.ask("GET / HTTP/1.1\r\nHost: app\r\n\r\n").await;
    assert_eq!(plain.body, "over 2");
}

#[tokio::test]
async fn an_upstream_that_takes_no_websocket_at_all_is_a_502_and_no_worse_for_it() {
    let app = app("grpc", |mut asked| async move { answer(&mut asked, "one") }).await;
    let world = World::with(&[]);
    route(&world, &app);
    for _ in 0..5 {
        let reply = world.ask(UPGRADE).await;
        assert_eq!(reply.status, 502, "{reply:?}");
        assert!(reply.body.contains("takes no WebSockets"), "{reply:?}");
    }
    let plain = world.ask("GET / HTTP/1.1\r\nHost: app\r\n\r\n").await;
    assert_eq!(plain.body, "one");
    assert_eq!(world.counts().ejections, 0);
}
