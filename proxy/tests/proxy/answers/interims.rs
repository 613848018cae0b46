//! Interim answers: RFC 9110 section 15.2. That they reach clients, and when, is in `interim` and `streams`.

use super::{Kept, Lost, Refused, case, check, closing, with_fields};
use crate::world::{App, GET, World, read_head, settings};
use mini_proxy::ProxySettings;
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, BufReader};

#[tokio::test]
async fn what_is_said_before_an_answer_is_not_the_answer() {
    let hello = with_fields("Content-Length: 5");
    let kept =
        |about, interims: &str| case(about, format!("{interims}{hello}"), Kept(200, "hello"));
    let then = |about, interims: &str, outcome| case(about, closing(interims), outcome);
    check(vec![
        kept(
            "15.2.1: 100 to who did not ask",
            "HTTP/1.1 100 Continue\r\n\r\n",
        ),
        kept(
            "15.2.1: several",
            &"HTTP/1.1 100 Continue\r\n\r\n".repeat(5),
        ),
        kept(
            "15.2: one of each",
            "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
        ),
        kept(
            "15.2: one that nobody knows",
            "HTTP/1.1 199 What\r\nX: y\r\n\r\n",
        ),
        kept("15.2: without its reason", "HTTP/1.1 100\r\n\r\n"),
        kept(
            "8.6: a length",
            "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n",
        ),
        kept(
            "6.1: chunks",
            "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        kept(
            "7.6.1: hop by hop",
            "HTTP/1.1 103 Early Hints\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: x\r\n\r\n",
        ),
        kept(
            "15.2: more than anybody needs",
            &"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(100),
        ),
        then(
            "15.2: nothing follows",
            "HTTP/1.1 103 Early Hints\r\n\r\n",
            Lost,
        ),
        then(
            "15.2: half a head follows",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200",
            Lost,
        ),
        then(
            "15.2: what follows is none",
            "HTTP/1.1 100 Continue\r\n\r\nhello\r\n\r\n",
            Refused,
        ),
        then(
            "15.2: a folded line",
            "HTTP/1.1 103 Early Hints\r\nX: y\r\n z\r\n\r\n",
            Refused,
        ),
        then(
            "15.2: NUL",
            "HTTP/1.1 103 Early Hints\r\nX: y\0z\r\n\r\n",
            Refused,
        ),
        then(
            "5.4: 1 MiB",
            &format!(
                "HTTP/1.1 103 Early Hints\r\nX: {}\r\n\r\n",
                "y".repeat(1024 * 1024)
            ),
            Refused,
        ),
    ])
    .await;
}

#[tokio::test]
async fn another_protocol_that_nobody_asked_for_is_refused() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let switch = "HTTP/1.1 101 Switching Protocols\r\n";
    let refused = |about, fields: &str| case(about, format!("{switch}{fields}\r\n{evil}"), Refused);
    check(vec![
        refused(
            "15.2.2: to HTTP/2",
            "Connection: Upgrade\r\nUpgrade: h2c\r\n",
        ),
        refused(
            "15.2.2: to a WebSocket",
            "Connection: Upgrade\r\nUpgrade: websocket\r\n",
        ),
        refused("15.2.2: to nothing", ""),
        refused("15.2.2: with a body", "Content-Length: 4\r\n"),
    ])
    .await;
}

#[tokio::test]
async fn a_flood_of_them_does_not_hold_a_client() {
    let app = App::raw("endless", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        read_head(&mut stream).await;
        let some = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(100);
        while stream.write_all(some.as_bytes()).await.is_ok() {}
    })
    .await;
    let settings = ProxySettings {
        first_byte_timeout: Duration::from_millis(100),
        ..settings(1)
    };
    let world = World::with_settings(settings, &[&app]);
    let mut client = world.client().await;
    client.send(GET).await;
    let seen = super::Seen::over_http1(&mut client, false).await;
    assert!(matches!(seen.status, 502 | 504), "{}", seen.head);
    assert!(seen.interims.len() <= 100, "{}", seen.interims.len());
}
