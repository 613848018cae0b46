//! When a connection ends, and what its end says: RFC 9112 sections 6.3, 8 and 9; and apps of HTTP/1.0.

use super::seen::Seen;
use super::{Broken, Closed, Kept, case, check, chunked, closing, resetting, saying, with_fields};
use crate::world::World;

#[tokio::test]
async fn bodies_that_last_until_the_end() {
    let all = |about, head: &str| {
        case(
            about,
            closing(format!("{head}\r\n\r\nhello")),
            Closed(200, "hello"),
        )
    };
    check(vec![
        all("6.3: no length", "HTTP/1.1 200 OK"),
        all("6.3: by HTTP/1.0", "HTTP/1.0 200 OK"),
        all(
            "9.3: whatever it says",
            "HTTP/1.0 200 OK\r\nConnection: keep-alive",
        ),
        all(
            "9.3: whatever it says",
            "HTTP/1.1 200 OK\r\nConnection: keep-alive",
        ),
        case(
            "6.3: an empty one",
            closing("HTTP/1.1 200 OK\r\n\r\n"),
            Closed(200, ""),
        ),
        // Its end was not reached, as far as can be known.
        case(
            "8: broken off",
            resetting("HTTP/1.1 200 OK\r\n\r\nhello"),
            Broken(200, "hello"),
        ),
    ])
    .await;
}

#[tokio::test]
async fn connections_that_end_with_their_answer() {
    let closed = |about, fields: &str| {
        case(
            about,
            with_fields(&format!("{fields}\r\nContent-Length: 5")),
            Closed(200, "hello"),
        )
    };
    let kept = |about, fields: &str| {
        case(
            about,
            with_fields(&format!("{fields}\r\nContent-Length: 5")),
            Kept(200, "hello"),
        )
    };
    let old = |fields: &str| format!("HTTP/1.0 200 OK\r\nContent-Length: 5{fields}\r\n\r\nhello");
    check(vec![
        closed("9.6: close", "Connection: close"),
        closed("9.6: in any letters", "Connection: CLOSE"),
        closed(
            "9.6: one of several",
            "Connection: X-Hop, close\r\nX-Hop: 1",
        ),
        closed(
            "9.6: in a second line",
            "Connection: X-Hop\r\nConnection: close\r\nX-Hop: 1",
        ),
        closed(
            "9.6: it overrules the other",
            "Connection: keep-alive, close",
        ),
        kept("9.3: keep-alive", "Connection: keep-alive"),
        kept(
            "9.3: keep-alive with its terms",
            "Connection: keep-alive\r\nKeep-Alive: timeout=5, max=100",
        ),
        kept("9.6: a word that only begins so", "Connection: closed"),
        kept("9.6: another field", "X-Connection: close"),
        case("9.3: HTTP/1.0", old(""), Closed(200, "hello")),
        case(
            "9.3: HTTP/1.0 that stays",
            old("\r\nConnection: keep-alive"),
            Kept(200, "hello"),
        ),
        case(
            "9.3: in any letters",
            old("\r\nConnection: Keep-Alive"),
            Kept(200, "hello"),
        ),
        case(
            "9.6: HTTP/1.0 that closes",
            old("\r\nConnection: close"),
            Closed(200, "hello"),
        ),
        case(
            "9.6: with chunks",
            chunked("5\r\nhello\r\n0\r\n\r\n")
                .replace("\r\n\r\n5", "\r\nConnection: close\r\n\r\n5"),
            Closed(200, "hello"),
        ),
        case(
            "9.6: without a body",
            "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
            Closed(204, ""),
        ),
    ])
    .await;
}

#[tokio::test]
async fn clients_of_http_1_0_get_whole_answers_too() {
    for said in [
        with_fields("Content-Length: 5").into(),
        chunked("5\r\nhello\r\n0\r\nX: y\r\n\r\n").into(),
        closing("HTTP/1.1 200 OK\r\n\r\nhello"),
        closing("HTTP/1.0 200 OK\r\n\r\nhello"),
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".into(),
    ] {
        let app = saying(said).await;
        let world = World::with(&[&app]);
        let mut client = world.client().await;
        client.send("GET / HTTP/1.0\r\nHost: app\r\n\r\n").await;
        let seen = Seen::over_http1(&mut client, false).await;
        assert!(
            seen.head.starts_with("HTTP/1.0 200 OK\r\n"),
            "{}",
            seen.head
        );
        assert!(!seen.head.contains("transfer-encoding"), "{}", seen.head);
        assert_eq!((seen.body.as_str(), seen.interims.len()), ("hello", 0));
        assert_eq!(client.rest().await, "");
        // One that asks for it keeps its connection, where the end of the body can be told.
        let mut client = world.client().await;
        client
            .send("GET / HTTP/1.0\r\nHost: app\r\nConnection: keep-alive\r\n\r\n")
            .await;
        assert_eq!(Seen::over_http1(&mut client, false).await.body, "hello");
    }
}
