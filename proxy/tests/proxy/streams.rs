//! Streams of one connection of HTTP/2: each has its own request, its own answer, and its own end.

use crate::world::{App, World, header, patiently, read_head, settings};
use bytes::Bytes;
use h2::client::{self, ResponseFuture, SendRequest};
use h2::ext::Protocol;
use h2::{Reason, SendStream};
use http::{Method, Request, StatusCode};
use mini_proxy::ProxySettings;
use std::future::poll_fn;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

/// A client that grants a stream 64 KiB and all of them together much more.
async fn connect(world: &World) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(world.address).await.unwrap();
    let mut builder = client::Builder::new();
    builder.initial_connection_window_size(1 << 24);
    let (sender, connection) = builder.handshake(stream).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    // The other side's settings have come by the time a request for nobody is answered.
    let mut sender = sender.ready().await.unwrap();
    let (answer, _) = begin(&mut sender, Method::GET, "http://nobody/", true);
    assert_eq!(answer.await.unwrap().status(), 404);
    sender
}

fn begin(
    sender: &mut SendRequest<Bytes>,
    method: Method,
    uri: &str,
    is_whole: bool,
) -> (ResponseFuture, SendStream<Bytes>) {
    let request = Request::builder().method(method).uri(uri);
    let request = request.body(()).unwrap();
    sender.send_request(request, is_whole).unwrap()
}

/// The status of an answer without waiting for its body.
async fn ask(sender: &mut SendRequest<Bytes>, path: &str) -> StatusCode {
    let uri = format!("http://app{path}");
    let (answer, _) = begin(sender, Method::GET, &uri, true);
    patiently("an answer", answer).await.unwrap().status()
}

/// Answers `/endless` with a body without end, and says when that is not taken any more; all else with nothing.
async fn endless(ended: mpsc::Sender<()>) -> App {
    App::raw("app", move |stream, _| {
        let ended = ended.clone();
        async move {
            let mut stream = BufReader::new(stream);
            loop {
                let head = read_head(&mut stream).await;
                if head.is_empty() {
                    return;
                }
                if head.starts_with("GET /endless ") {
                    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                    stream.write_all(head).await.unwrap();
                    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
                    while stream.write_all(chunk.as_bytes()).await.is_ok() {}
                    ended.send(()).await.unwrap();
                    return;
                }
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(answer).await.unwrap();
            }
        }
    })
    .await
}

#[tokio::test]
async fn one_that_takes_nothing_lets_its_upstream_go_while_others_go_on() {
    let (ended, mut has_ended) = mpsc::channel(1);
    let app = endless(ended).await;
    let settings = ProxySettings {
        write_timeout: Duration::from_millis(20),
        ..settings(1)
    };
    let world = World::with_settings(settings, &[&app]);
    let mut sender = connect(&world).await;
    let (answer, _) = begin(&mut sender, Method::GET, "http://app/endless", true);
    let mut body = patiently("an answer", answer).await.unwrap().into_body();
    patiently("its end", async {
        while has_ended.try_recv().is_err() {
            assert_eq!(ask(&mut sender, "/").await, 200);
        }
    })
    .await;
    let error = loop {
        if let Err(error) = patiently("the reset", body.data()).await.unwrap() {
            break error;
        }
    };
    assert_eq!(error.reason(), Some(Reason::CANCEL));
    assert_eq!(ask(&mut sender, "/").await, 200);
}

#[tokio::test]
async fn an_answer_to_head_is_its_head_and_all_answers_are_dated() {
    let app = App::raw("app", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        while !read_head(&mut stream).await.is_empty() {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: once\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
    })
    .await;
    let world = World::with(&[&app]);
    let mut sender = connect(&world).await;
    for (uri, date) in [("http://app/", Some("once")), ("http://nobody/", None)] {
        let (answer, _) = begin(&mut sender, Method::HEAD, uri, true);
        let answer = patiently("an answer", answer).await.unwrap();
        let field = |name: &str| answer.headers()[name].to_str().unwrap();
        assert!(field("content-length").parse::<u64>().unwrap() > 0, "{uri}");
        match date {
            Some(date) => assert_eq!(field("date"), date),
            None => assert!(field("date").ends_with(" GMT"), "{}", field("date")),
        }
        assert!(answer.body().is_end_stream(), "{uri}");
    }
}

/// Answers with what it was sent.
async fn echo() -> App {
    App::raw("app", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        let head = read_head(&mut stream).await;
        let length = header(&head, "content-length").unwrap_or("0");
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
    })
    .await
}

#[tokio::test]
async fn who_waits_to_be_asked_for_a_body_is_asked_once_it_is_wanted() {
    let app = echo().await;
    let world = World::with(&[&app]);
    let mut sender = connect(&world).await;
    let expecting = |uri: &str| {
        let request = Request::post(uri)
            .header("expect", "100-continue")
            .header("content-length", "5");
        request.body(()).unwrap()
    };
    let (mut answer, mut body) = sender
        .send_request(expecting("http://app/"), false)
        .unwrap();
    let interim = poll_fn(|cx| answer.poll_informational(cx));
    let interim = patiently("an interim answer", interim).await;
    assert_eq!(interim.unwrap().unwrap().status(), 100);
    body.send_data("hello".into(), true).unwrap();
    let answer = patiently("an answer", answer).await.unwrap();
    let data = patiently("its body", answer.into_body().data()).await;
    assert_eq!(data.unwrap().unwrap(), "hello");
    // Nobody wants this one.
    let (mut answer, _body) = sender
        .send_request(expecting("http://nobody/"), false)
        .unwrap();
    let interim = poll_fn(|cx| answer.poll_informational(cx));
    assert!(patiently("no interim answer", interim).await.is_none());
    assert_eq!(answer.await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_request_that_is_reset_is_not_taken_for_whole_whatever_the_reason() {
    for reason in [Reason::NO_ERROR, Reason::CANCEL] {
        let (seen, mut was_seen) = mpsc::channel(2);
        let app = App::raw("app", move |stream, _| {
            let seen = seen.clone();
            async move {
                let mut stream = BufReader::new(stream);
                read_head(&mut stream).await;
                let mut chunk = [0; 10];
                stream.read_exact(&mut chunk).await.unwrap();
                seen.send(chunk.to_vec()).await.unwrap();
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
                seen.send(rest).await.unwrap();
            }
        })
        .await;
        let world = World::with(&[&app]);
        let mut sender = connect(&world).await;
        let (_answer, mut body) = begin(&mut sender, Method::POST, "http://app/", false);
        body.send_data("hello".into(), false).unwrap();
        let chunk = patiently("the beginning", was_seen.recv()).await.unwrap();
        assert_eq!(chunk, b"5\r\nhello\r\n");
        body.send_reset(reason);
        let rest = patiently("the end", was_seen.recv()).await.unwrap();
        assert_eq!(rest, b"", "{reason:?}");
    }
}

#[tokio::test]
async fn a_page_in_place_of_a_websocket_is_none() {
    let app = App::named("app").await;
    let world = World::with(&[&app]);
    let mut sender = connect(&world).await;
    let request = Request::connect("http://app/chat")
        .extension(Protocol::from_static("websocket"))
        .body(())
        .unwrap();
    let (answer, _stream) = sender.send_request(request, false).unwrap();
    assert_eq!(patiently("an answer", answer).await.unwrap().status(), 502);
    assert_eq!(ask(&mut sender, "/").await, 200);
}

#[tokio::test]
async fn either_side_of_a_tunnel_may_end_first() {
    let app = App::raw("app", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        read_head(&mut stream).await;
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        let mut sent = Vec::new();
        stream.read_to_end(&mut sent).await.unwrap();
        // The client has ended its side, and still hears all of it.
        sent.reverse();
        stream.write_all(&sent).await.unwrap();
    })
    .await;
    let world = World::with(&[&app]);
    let mut sender = connect(&world).await;
    let request = Request::connect("http://app/chat")
        .extension(Protocol::from_static("websocket"))
        .body(())
        .unwrap();
    let (answer, mut stream) = sender.send_request(request, false).unwrap();
    let answer = patiently("an answer", answer).await.unwrap();
    assert_eq!(answer.status(), 200);
    // More than fits into the windows of both sides.
    let sent: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let mut expected = sent.clone();
    expected.reverse();
    stream.send_data(sent.into(), true).unwrap();
    let mut body = answer.into_body();
    let mut heard = Vec::new();
    while let Some(data) = patiently("what was sent", body.data()).await {
        let data = data.unwrap();
        heard.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    assert!(heard == expected, "{}", heard.len());
}

#[tokio::test]
async fn what_an_upstream_says_before_its_answer_reaches_its_client() {
    let (go_on, may_go_on) = watch::channel(false);
    let app = App::raw("app", move |stream, _| {
        let mut may_go_on = may_go_on.clone();
        async move {
            let mut stream = BufReader::new(stream);
            read_head(&mut stream).await;
            let early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n";
            stream.write_all(early).await.unwrap();
            may_go_on.wait_for(|may| *may).await.unwrap();
            // Of these the client gets as many as anybody needs, and then the answer.
            let more = b"HTTP/1.1 102 Processing\r\n\r\n".repeat(100);
            stream.write_all(&more).await.unwrap();
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";
            stream.write_all(answer).await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await;
    let world = World::with(&[&app]);
    let mut sender = connect(&world).await;
    let (mut answer, _) = begin(&mut sender, Method::GET, "http://app/", true);
    let interim = poll_fn(|cx| answer.poll_informational(cx));
    let early = patiently("early hints", interim).await.unwrap().unwrap();
    assert_eq!(early.status(), 103);
    assert_eq!(early.headers()["link"], "</a.css>; rel=preload");
    assert_eq!(early.headers().len(), 1, "{:?}", early.headers());
    go_on.send(true).unwrap();
    let mut more = 0;
    loop {
        let next = poll_fn(|cx| answer.poll_informational(cx));
        let Some(interim) = patiently("what comes next", next).await else {
            break;
        };
        assert_eq!(interim.unwrap().status(), 102);
        more += 1;
    }
    assert!(more < 16, "{more}");
    let answer = patiently("an answer", answer).await.unwrap();
    assert_eq!(answer.status(), 200);
    let data = patiently("its body", answer.into_body().data()).await;
    assert_eq!(data.unwrap().unwrap(), "body");
}
