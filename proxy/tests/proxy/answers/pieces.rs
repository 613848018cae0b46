//! The same bytes in other pieces are the same answer.

use super::seen::Seen;
use super::{NEXT, chunked, with_fields};
use crate::world::{App, Client, World, read_head};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use tokio::io::{AsyncWriteExt as _, BufReader};

/// What the other connections of the proxy's only thread are asked, so that it is known that it has read what was said before.
const NOBODY: &str = "GET / HTTP/1.1\r\nHost: nobody\r\n\r\n";

/// An app that says this, cut before the byte whose number is asked for; each byte alone, if that is `/all`.
async fn cutting(text: Arc<[u8]>, proxy: Arc<OnceLock<SocketAddr>>) -> App {
    App::raw("cutting", move |stream, _| {
        let (text, proxy) = (Arc::clone(&text), Arc::clone(&proxy));
        async move {
            let mut stream = BufReader::new(stream);
            let mut other = Client::connect(*proxy.get().unwrap()).await;
            loop {
                let head = read_head(&mut stream).await;
                if head.is_empty() {
                    return;
                }
                if head.contains(" /next ") {
                    stream.write_all(NEXT.as_bytes()).await.unwrap();
                    continue;
                }
                let asked = head.split([' ', '/']).nth(2).unwrap_or_default();
                let mut pieces = match asked.parse::<usize>() {
                    Ok(at) => vec![&text[..at], &text[at..]],
                    Err(_) => text.chunks(1).collect(),
                };
                let last = pieces.pop().unwrap_or_default();
                for piece in pieces {
                    stream.write_all(piece).await.unwrap();
                    assert_eq!(other.ask(NOBODY).await.status, 404);
                }
                stream.write_all(last).await.unwrap();
            }
        }
    })
    .await
}

async fn check(text: &[u8], expected: (u16, &str, usize)) {
    let proxy = Arc::<OnceLock<SocketAddr>>::default();
    let app = cutting(text.into(), Arc::clone(&proxy)).await;
    let world = World::with(&[&app]);
    proxy.set(world.address).unwrap();
    let mut client = world.client().await;
    let cuts = (1..text.len()).map(|cut| cut.to_string());
    for cut in cuts.chain(["all".to_owned()]) {
        client
            .send(&format!("GET /{cut} HTTP/1.1\r\nHost: app\r\n\r\n"))
            .await;
        let seen = Seen::over_http1(&mut client, false).await;
        let came = (seen.status, seen.body.as_str(), seen.interims.len());
        assert_eq!((came, seen.is_whole), (expected, true), "cut at {cut}");
        let next = client.ask("GET /next HTTP/1.1\r\nHost: app\r\n\r\n").await;
        assert_eq!(next.body, "next", "cut at {cut}");
    }
    // It was good for all of them.
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn a_body_of_known_length() {
    check(
        with_fields("X-A:  b \r\nContent-Length: 5").as_bytes(),
        (200, "hello", 0),
    )
    .await;
}

#[tokio::test]
async fn a_body_in_chunks() {
    let chunks = "5;a=\"b\"\r\nhello\r\n00a\r\n0123456789\r\n0\r\n\r\n";
    check(chunked(chunks).as_bytes(), (200, "hello0123456789", 0)).await;
}

#[tokio::test]
async fn trailers() {
    let chunks = "5\r\nhello\r\n0\r\nX-Sum: 7\r\nX-More:\r\n\r\n";
    check(chunked(chunks).as_bytes(), (200, "hello", 0)).await;
}

#[tokio::test]
async fn interim_answers_before() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 102 \r\n\r\n";
    let text = format!("{early}{}", with_fields("Content-Length: 5"));
    check(text.as_bytes(), (200, "hello", 2)).await;
}

#[tokio::test]
async fn no_body() {
    check(
        b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
        (304, "", 0),
    )
    .await;
    check(
        b"HTTP/1.0 200 OK\nContent-Length: 0\nConnection: keep-alive\n\n",
        (200, "", 0),
    )
    .await;
}
