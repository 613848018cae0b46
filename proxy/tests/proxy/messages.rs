//! HTTP/1.1 as RFC 9112 has it, where a slip would make two readers see two messages, or lose one. More: `smuggling`.

use crate::world::{App, World, header, patiently, read_head};
use http_body_util::{BodyExt as _, Full};
use hyper::Response;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;

/// An app that answers with the target and the body it got.
async fn teller() -> App {
    App::http("teller", |request| async move {
        let target = request.uri().to_string();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&body).into_owned();
        Response::new(Full::from(format!("{target} {text}")))
    })
    .await
}

#[tokio::test]
async fn requests_that_come_at_once_are_answered_in_their_order() {
    // Section 9.3.2, with all that may stand between them (section 2.2).
    let app = teller().await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    let requests = "GET /1 HTTP/1.1\r\nHost: app\r\n\r\n\
                    POST /2 HTTP/1.1\r\nHost: app\r\nContent-Length: 3\r\n\r\nGET\r\n\
                    POST /3 HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nPUT\r\n0\r\nX: y\r\n\r\n\
                    GET /4 HTTP/1.1\r\nHost: nobody\r\n\r\n\
                    HEAD /5 HTTP/1.1\r\nHost: app\r\n\r\n\
                    GET /6 HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n\
                    GET /7 HTTP/1.1\r\nHost: app\r\n\r\n";
    client.send(requests).await;
    for expected in ["/1 ", "/2 GET", "/3 PUT"] {
        assert_eq!(client.reply().await.body, expected);
    }
    assert_eq!(client.reply().await.status, 404);
    let head = client.head().await;
    assert_eq!(header(&head, "content-length"), Some("3"), "{head}");
    assert_eq!(client.reply().await.body, "/6 ");
    // Section 9.6: nothing behind the last one is looked at.
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn trailers_that_a_request_announces_reach_the_upstream_and_no_others() {
    // Section 7.1.2, and RFC 9110 section 6.5.1: what a server acts on before it has the body cannot come behind it.
    let (tell, mut told) = mpsc::channel(1);
    let app = App::raw("one", move |stream, _| {
        let tell = tell.clone();
        async move {
            let mut stream = BufReader::new(stream);
            read_head(&mut stream).await;
            let mut body = String::new();
            while !body.ends_with("\r\n\r\n") {
                assert_ne!(stream.read_line(&mut body).await.unwrap(), 0, "{body:?}");
            }
            tell.send(body).await.unwrap();
            let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
    })
    .await;
    let world = World::with(&[&app]);
    for (announced, expected) in [
        (
            "Trailer: X-Sum, X-Forwarded-For, Host\r\n",
            "0\r\nx-sum: 7\r\n\r\n",
        ),
        ("", "0\r\n\r\n"),
    ] {
        let head = "POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n";
        let trailers = "X-Sum: 7\r\nX-Forwarded-For: 6.6.6.6\r\nHost: evil\r\nX-Other: 8\r\n";
        let request = format!("{head}{announced}\r\n5\r\nhello\r\n0\r\n{trailers}\r\n");
        assert_eq!(world.ask(&request).await.status, 204);
        let body = patiently("the body", told.recv()).await.unwrap();
        assert_eq!(body, format!("5\r\nhello\r\n{expected}"));
    }
}

#[tokio::test]
async fn what_no_request_can_be_is_refused_and_what_follows_is_not_read() {
    let app = teller().await;
    let world = World::with(&[&app]);
    let long = format!("GET /{} HTTP/1.1\r\nHost: app\r\n\r\n", "x".repeat(70_000));
    for (section, request, statuses) in [
        ("3: a target above the limit", &*long, &[414, 431][..]),
        ("3.2: no Host", "GET / HTTP/1.1\r\n\r\n", &[400]),
        (
            "3.2: an empty Host",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            &[400],
        ),
        (
            "3.2.3: an authority without CONNECT",
            "GET app:80 HTTP/1.1\r\nHost: app\r\n\r\n",
            &[400],
        ),
        (
            "3.2.4: * without OPTIONS",
            "GET * HTTP/1.1\r\nHost: app\r\n\r\n",
            &[400],
        ),
        (
            "6.1: chunks in HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        (
            "6.1: chunks that are packed",
            "POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            &[400, 501],
        ),
        (
            "2.6: a version to come",
            "GET / HTTP/2.0\r\nHost: app\r\n\r\n",
            &[400, 505],
        ),
        (
            "5: a name in quotes",
            "GET / HTTP/1.1\r\nHost: app\r\n\"x\": y\r\n\r\n",
            &[400],
        ),
        (
            "5.1: a space before the colon",
            "GET / HTTP/1.1\r\nHost : app\r\n\r\n",
            &[400],
        ),
    ] {
        let mut client = world.client().await;
        // It may be refused, and the connection be closed, before all of it is read.
        let follows = "GET /follows HTTP/1.1\r\nHost: app\r\n\r\n";
        let bytes = format!("{request}{follows}");
        let _ = client.stream.write_all(bytes.as_bytes()).await;
        let reply = client.reply().await;
        assert!(
            statuses.contains(&reply.status),
            "{section}: {}",
            reply.head
        );
        assert_eq!(client.rest().await, "", "{section}");
    }
    assert_eq!(app.connections(), 0);
}

#[tokio::test]
async fn a_target_without_a_path_reaches_the_upstream_with_one() {
    let app = teller().await;
    let world = World::with(&[&app]);
    for (target, expected) in [
        ("http://app", "/ "),
        ("http://app#a", "/ "),
        ("http://app?a", "/?a "),
        ("http://app/a#b", "/a "),
        ("/#a", "/ "),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: app\r\n\r\n");
        assert_eq!(world.ask(&request).await.body, expected, "{target}");
    }
}

#[tokio::test]
async fn answers_that_two_readers_could_read_differently_are_not_passed_on() {
    for (section, answer) in [
        (
            "6.3: two lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        ),
        (
            "6.3: a length that is none",
            "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nab",
        ),
        (
            "5: a line without a colon",
            "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 2\r\n\r\nab",
        ),
        (
            "4: a status that is none",
            "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nab",
        ),
        (
            "5: a field with a NUL",
            "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nab",
        ),
    ] {
        let app = App::raw("odd", move |stream, _| async move {
            let mut stream = BufReader::new(stream);
            read_head(&mut stream).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        })
        .await;
        let world = World::with(&[&app]);
        let reply = world
            .ask("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 0\r\n\r\n")
            .await;
        assert_eq!(reply.status, 502, "{section}: {}", reply.head);
    }
}

#[tokio::test]
async fn an_answer_framed_twice_is_framed_once_for_the_client() {
    // Section 6.3, rule 3: chunks count, and the length goes.
    let app = App::raw("twice", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        while !read_head(&mut stream).await.is_empty() {
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    for _ in 0..2 {
        let reply = client.ask("GET / HTTP/1.1\r\nHost: app\r\n\r\n").await;
        let framings = ["content-length", "transfer-encoding"].map(|name| reply.header(name));
        assert_eq!(
            (reply.body.as_str(), framings.iter().flatten().count()),
            ("ab", 1),
            "{}",
            reply.head
        );
    }
}

#[tokio::test]
async fn what_is_behind_the_trailers_of_a_request_is_no_part_of_them() {
    let app = App::named("one").await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    let both = "POST /1 HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n\
                POST /2 HTTP/1.1\r\nHost: app\r\nContent-Length: 3\r\n\r\na\nb";
    client.send(both).await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(client.reply().await.status, 200);
}
