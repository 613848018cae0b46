//! What the upstream is told of the client, what is hidden from it, and what is not forwarded at all.

use crate::world::{App, World, read_head};
use http_body_util::Full;
use hyper::Response;
use std::fmt::Write as _;
use tokio::io::{AsyncWriteExt as _, BufReader};

/// An app that answers with the head of the request as it was given.
pub(crate) async fn mirror() -> App {
    App::http("mirror", |request| async move {
        let mut text = String::new();
        for (name, value) in request.headers() {
            writeln!(text, "{name}: {}", value.to_str().unwrap()).unwrap();
        }
        Response::new(Full::from(text))
    })
    .await
}

#[tokio::test]
async fn the_upstream_is_told_who_asked_how_when_and_under_which_id() {
    let app = mirror().await;
    let world = World::with(&[&app]);
    let port = world.address.port();
    let seen = world
        .ask("GET / HTTP/1.1\r\nHost: app:9\r\n\r\n")
        .await
        .body;
    for line in [
        "host: app:9",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        "x-forwarded-host: app:9",
        &format!("x-forwarded-port: {port}"),
    ] {
        assert!(seen.lines().any(|seen| seen == line), "{line} in:\n{seen}");
    }
    let value = |name: &str| crate::world::header(&seen, name).unwrap().to_owned();
    assert_eq!(value("x-request-id").len(), 32);
    let start: u64 = value("x-request-start")
        .strip_prefix("t=")
        .unwrap()
        .parse()
        .unwrap();
    assert!(start > 1_700_000_000_000, "{start}");
}

#[tokio::test]
async fn a_client_is_not_believed_about_proxies_nor_names_its_request() {
    let app = mirror().await;
    let world = World::with(&[&app]);
    let seen = world
        .ask(
            "GET / HTTP/1.1\r\nHost: app\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\n\
             X-Forwarded-Proto: https\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n\
             X-Request-Id: mine-1\r\nX-Request-Start: t=1\r\nConnection: X-Forwarded-For, X-Hop\r\nX-Hop: 1\r\n\r\n",
        )
        .await
        .body;
    assert!(
        !seen.contains("6.6.6.6") && !seen.contains("7.7.7.7") && !seen.contains("x-hop"),
        "{seen}"
    );
    assert!(seen.contains("x-forwarded-for: 127.0.0.1\n"), "{seen}");
    assert!(seen.contains("x-forwarded-proto: http\n"), "{seen}");
    assert!(
        !seen.contains("mine-1") && !seen.contains("t=1\n"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_request_with_two_lengths_is_forwarded_with_one_and_ends_its_connection() {
    // hyper drops the Content-Length, as RFC 9112 section 6.3 has it, and closes afterwards: what a second
    // reader could take for another request is never read as one.
    let app = App::raw("one", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        let head = read_head(&mut stream).await;
        let lengths = head.matches("content-length").count();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{lengths}");
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let world = World::with(&[&app]);
    for lengths in [
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let mut client = world.client().await;
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: app\r\n\r\n";
        let request = format!("POST / HTTP/1.1\r\nHost: app\r\n{lengths}\r\n0\r\n\r\n{smuggled}");
        assert_eq!(client.ask(&request).await.body, "0");
        assert_eq!(client.rest().await, "");
    }
}

async fn check_refused(request: &str, status: u16) {
    let app = App::named("one").await;
    let world = World::with(&[&app]);
    let reply = world.ask(request).await;
    assert_eq!(reply.status, status, "{request}");
    assert_eq!(app.connections(), 0, "{request}");
}

#[tokio::test]
async fn what_two_servers_could_read_differently_is_not_forwarded() {
    check_refused("GET / HTTP/1.1\r\n\r\n", 400).await;
    check_refused("GET / HTTP/1.1\r\nHost: app\r\nHost: other\r\n\r\n", 400).await;
    check_refused("GET / HTTP/1.1\r\nHost: app\r\nHost: app\r\n\r\n", 400).await;
    check_refused("GET / HTTP/1.1\r\nHost: app/x\r\n\r\n", 400).await;
    check_refused("GET http://user@app/ HTTP/1.1\r\nHost: app\r\n\r\n", 400).await;
    check_refused(
        "POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        400,
    )
    .await;
    check_refused(
        "POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        400,
    )
    .await;
    check_refused(
        "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        400,
    )
    .await;
    check_refused(
        "GET / HTTP/1.1\r\nHost: app\r\nX: 1\r\n folded\r\n\r\n",
        400,
    )
    .await;
    check_refused("GET / HTTP/1.1\r\nHost : app\r\n\r\n", 400).await;
    check_refused("CONNECT app:443 HTTP/1.1\r\nHost: app\r\n\r\n", 405).await;
    check_refused("NONSENSE\r\n\r\n", 400).await;
    let long = format!(
        "GET / HTTP/1.1\r\nHost: app\r\nX: {}\r\n\r\n",
        "x".repeat(70_000)
    );
    check_refused(&long, 431).await;
}
