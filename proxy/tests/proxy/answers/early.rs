//! Answers that come before their request is whole: RFC 9112 section 9.5, RFC 9110 section 10.1.1.

use super::seen::Seen;
use super::{reset, until_closed};
use crate::http2::speak;
use crate::world::{App, Client, World, header, patiently, read_head};
use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::Request;
use std::convert::Infallible;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

const TOO_LARGE: &str = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n";
/// More than all buffers between the two take.
const LARGE: usize = 64 * 1024 * 1024;

/// What an app does once it has answered, without having read the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum After {
    /// Closes: with something unread, that breaks the connection off.
    Closes,
    /// Ends its side, and reads nothing more until the other side ends as well.
    Finishes,
    /// Reads nothing more, and waits.
    Waits,
    /// Reads all that comes.
    Reads,
}

/// An app that answers 413 as soon as it has the head and the first bytes of a body.
async fn hasty(fields: &'static str, after: After) -> App {
    App::raw("hasty", move |stream, _| async move {
        let mut stream = BufReader::new(stream);
        let head = read_head(&mut stream).await;
        if head.starts_with("GET /next") {
            let _ = stream.write_all(super::NEXT.as_bytes()).await;
            until_closed(&mut stream).await;
            return;
        }
        let _ = stream.read(&mut [0; 10]).await;
        let answer = format!("{TOO_LARGE}{fields}\r\ntoo");
        let _ = stream.write_all(answer.as_bytes()).await;
        match after {
            After::Closes => {}
            After::Finishes => {
                let _ = stream.shutdown().await;
                std::future::pending().await
            }
            After::Waits => std::future::pending().await,
            After::Reads => {
                until_closed(&mut stream).await;
            }
        }
    })
    .await
}

/// A client that sends a large body in a task of its own, and reads meanwhile.
async fn sending(world: &World) -> Client {
    let stream = TcpStream::connect(world.address).await.unwrap();
    let stream = stream.into_std().unwrap();
    let twin = TcpStream::from_std(stream.try_clone().unwrap()).unwrap();
    tokio::spawn(async move {
        let mut twin = twin;
        let head = format!("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: {LARGE}\r\n\r\n");
        if twin.write_all(head.as_bytes()).await.is_err() {
            return;
        }
        let piece = vec![b'x'; 64 * 1024];
        for _ in 0..LARGE / piece.len() {
            if twin.write_all(&piece).await.is_err() {
                return;
            }
        }
    });
    Client {
        stream: BufReader::new(TcpStream::from_std(stream).unwrap()),
    }
}

async fn check(fields: &'static str, after: After) {
    let app = hasty(fields, after).await;
    let world = World::with(&[&app]);
    let mut client = sending(&world).await;
    let seen = Seen::over_http1(&mut client, false).await;
    let what = format!("{fields:?}, {after:?}: {}", seen.head);
    assert_eq!(
        (seen.status, seen.body.as_str(), seen.is_whole),
        (413, "too", true),
        "{what}"
    );
    assert_eq!(seen.error(), None, "{what}");
    let next = world.ask("GET /next HTTP/1.1\r\nHost: app\r\n\r\n").await;
    assert_eq!(next.body, "next", "{what}");
}

#[tokio::test]
async fn an_upstream_that_answers_early_and_ends_is_heard() {
    let close = "Connection: close\r\n";
    for after in [After::Finishes, After::Waits, After::Reads] {
        check(close, after).await;
        check("", after).await;
    }
}

#[tokio::test]
async fn one_that_closes_with_the_body_unread_is_heard() {
    check("Connection: close\r\n", After::Closes).await;
    check("", After::Closes).await;
}

#[tokio::test]
async fn over_http2_it_is_heard_as_well() {
    check_http2(&[After::Finishes, After::Waits, After::Reads]).await;
}

#[tokio::test]
async fn over_http2_one_that_closes_is_heard_as_well() {
    check_http2(&[After::Closes]).await;
}

async fn check_http2(all: &[After]) {
    for &after in all {
        let app = hasty("Connection: close\r\n", after).await;
        let world = World::with(&[&app]);
        let mut sender = speak(TcpStream::connect(world.address).await.unwrap()).await;
        let frames = (0..LARGE / 65536)
            .map(|_| Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[b'x'; 65536]))));
        let body = StreamBody::new(stream::iter(frames));
        let request = Request::post("http://app/").body(body).unwrap();
        let answer = patiently("an answer", sender.send_request(request))
            .await
            .unwrap();
        assert_eq!(answer.status(), 413, "{after:?}");
        let body = patiently("its body", answer.into_body().collect()).await;
        assert_eq!(body.unwrap().to_bytes(), "too", "{after:?}");
    }
}

#[tokio::test]
async fn the_rest_of_the_request_is_not_taken_for_the_next_one() {
    let (say, mut said) = mpsc::channel(1);
    let app = App::raw("one", move |stream, number| {
        let say = say.clone();
        async move {
            let mut stream = BufReader::new(stream);
            read_head(&mut stream).await;
            if number == 0 {
                let answer = format!("{TOO_LARGE}\r\ntoo");
                stream.write_all(answer.as_bytes()).await.unwrap();
                say.send(until_closed(&mut stream).await).await.unwrap();
                return;
            }
            stream.write_all(super::NEXT.as_bytes()).await.unwrap();
            until_closed(&mut stream).await;
        }
    })
    .await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 100\r\n\r\nhello")
        .await;
    assert_eq!(Seen::over_http1(&mut client, false).await.status, 413);
    // It goes without having sent the rest: over that connection no other request can go.
    client.leave();
    let first = patiently("the end", said.recv()).await.unwrap();
    assert!(b"hello".starts_with(&first), "{}", first.escape_ascii());
    assert_eq!(
        world
            .ask("GET /next HTTP/1.1\r\nHost: app\r\n\r\n")
            .await
            .body,
        "next"
    );
    assert_eq!(app.connections(), 2);
}

#[tokio::test]
async fn a_request_that_is_answered_early_is_sent_to_its_end_and_its_connection_goes_on() {
    let (say, mut said) = mpsc::channel(1);
    let app = App::raw("one", move |stream, _| {
        let say = say.clone();
        async move {
            let mut stream = BufReader::new(stream);
            read_head(&mut stream).await;
            let answer = format!("{TOO_LARGE}\r\ntoo");
            stream.write_all(answer.as_bytes()).await.unwrap();
            let mut body = [0; 10];
            stream.read_exact(&mut body).await.unwrap();
            say.send(body).await.unwrap();
            read_head(&mut stream).await;
            stream.write_all(super::NEXT.as_bytes()).await.unwrap();
            until_closed(&mut stream).await;
        }
    })
    .await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\nhello")
        .await;
    assert_eq!(Seen::over_http1(&mut client, false).await.status, 413);
    client.send("world").await;
    let body = patiently("the body", said.recv()).await.unwrap();
    assert_eq!(&body, b"helloworld");
    let next = client.ask("GET /next HTTP/1.1\r\nHost: app\r\n\r\n").await;
    assert_eq!(next.body, "next");
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn an_upstream_that_breaks_off_within_a_request_is_a_502() {
    let app = App::raw("one", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        read_head(&mut stream).await;
        let _ = stream.read(&mut [0; 10]).await;
        reset(stream);
    })
    .await;
    let world = World::with(&[&app]);
    let mut client = sending(&world).await;
    let seen = Seen::over_http1(&mut client, false).await;
    assert_eq!(
        (seen.status, seen.error()),
        (502, Some("connection_terminated"))
    );
    // The rest of the body is on its way, or the connection ends.
    assert!(
        matches!(header(&seen.head, "connection"), None | Some("close")),
        "{}",
        seen.head
    );
    assert_eq!(app.connections(), 1);
}
