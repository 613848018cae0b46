//! Upgraded connections: bytes both ways, in flight until they end.

use crate::world::{App, GET, World, patiently, read_head};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};

pub(crate) const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: app\r\nConnection: keep-alive, Upgrade\r\n\
                       Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";

/// An app that agrees to an upgrade, greets at once, and then sends back what it gets.
pub(crate) async fn echo() -> App {
    App::raw("echo", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        let head = read_head(&mut stream).await;
        if !head.contains("upgrade: websocket") {
            let _ = stream.write_all(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n").await;
            return;
        }
        let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: y\r\n\r\nwelcome";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            stream.write_all(&buffer[..read]).await.unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn an_upgraded_connection_echoes_and_is_in_flight_until_it_ends() {
    let app = echo().await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    // What comes right behind the request already belongs to the new protocol.
    client.send(&format!("{UPGRADE}early")).await;
    let head = client.head().await;
    assert!(
        head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
        "{head}"
    );
    for line in [
        "connection: upgrade\r\n",
        "upgrade: websocket\r\n",
        "sec-websocket-accept: y\r\n",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert_eq!(client.read_text(12).await, "welcomeearly");
    client.send("more").await;
    assert_eq!(client.read_text(4).await, "more");

    world.route(&[]);
    assert_ne!(world.handle.in_flight("echo"), 0);
    let handle = world.handle.clone();
    let drained = tokio::spawn(async move { handle.wait_drained("echo").await });
    client.send("still there").await;
    assert_eq!(client.read_text(11).await, "still there");
    assert!(!drained.is_finished());
    drop(client);
    patiently("the drain", drained).await.unwrap();
    assert_eq!(world.handle.in_flight("echo"), 0);
}

#[tokio::test]
async fn a_refused_upgrade_is_an_ordinary_answer() {
    let app = App::named("one").await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    assert_eq!(client.ask(UPGRADE).await.body, "one");
    assert_eq!(client.ask(GET).await.body, "one");
}

#[tokio::test]
async fn an_offer_of_h2c_is_ignored() {
    let app = echo().await;
    let world = World::with(&[&app]);
    let offer = "GET / HTTP/1.1\r\nHost: app\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                 HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    assert_eq!(world.ask(offer).await.status, 426);
}

#[tokio::test]
async fn an_upgrade_nobody_asked_for_is_a_502() {
    let app = App::raw("pushy", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        read_head(&mut stream).await;
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.read(&mut [0]).await;
    })
    .await;
    let world = World::with(&[&app]);
    assert_eq!(world.ask(GET).await.status, 502);
}

#[tokio::test]
async fn an_upgrade_of_http_1_0_is_ignored() {
    let app = echo().await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client.send(&UPGRADE.replace("HTTP/1.1", "HTTP/1.0")).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.0 426 "), "{head}");
}
