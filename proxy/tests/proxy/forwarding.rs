//! Requests and answers pass as they are, in both directions, as they come.

use crate::world::{App, GET, World, patiently, read_head};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Response;
use std::io::ErrorKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;

#[tokio::test]
async fn a_request_is_answered_and_both_connections_are_kept() {
    let app = App::named("one").await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    for _ in 0..3 {
        let reply = client.ask(GET).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "one"));
    }
    assert_eq!(
        app.connections(),
        1,
        "the second request goes over the kept connection"
    );
    // Another client's request finds it as well.
    assert_eq!(world.ask(GET).await.body, "one");
    assert_eq!(app.connections(), 1);
    let counts = world.handle.counters().services["app"];
    assert_eq!(
        (counts.by_class, counts.response_bytes),
        ([0, 4, 0, 0, 0], 12)
    );
}

#[tokio::test]
async fn hosts_are_routed_without_regard_to_case_port_and_form_of_the_target() {
    let app = App::http("one", |request| async move {
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        Response::new(Full::from(format!("{host} {}", request.uri())))
    })
    .await;
    let world = World::with(&[&app]);
    let ask = async |request: &str| world.ask(request).await.body;
    assert_eq!(
        ask("GET /a?b HTTP/1.1\r\nHost: APP:80\r\n\r\n").await,
        "APP:80 /a?b"
    );
    assert_eq!(ask("GET / HTTP/1.1\r\nHost: app.\r\n\r\n").await, "app. /");
    let absolute = "GET http://app:81/x?y HTTP/1.1\r\nHost: other\r\n\r\n";
    assert_eq!(ask(absolute).await, "app:81 /x?y");
    assert_eq!(
        ask("GET http://app HTTP/1.1\r\nHost: other\r\n\r\n").await,
        "app /"
    );
    assert_eq!(
        ask("OPTIONS * HTTP/1.1\r\nHost: app\r\n\r\n").await,
        "app *"
    );
}

#[tokio::test]
async fn the_first_part_of_an_answer_arrives_before_the_last_is_sent() {
    let (go_on, mut may_go_on) = mpsc::channel::<()>(1);
    let may_go_on = std::sync::Arc::new(tokio::sync::Mutex::new(async move || {
        may_go_on.recv().await
    }));
    let app = App::raw("slow", move |stream, _| {
        let may_go_on = std::sync::Arc::clone(&may_go_on);
        async move {
            let mut stream = BufReader::new(stream);
            read_head(&mut stream).await;
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            (may_go_on.lock().await)().await;
            stream.write_all(b"4\r\nlast\r\n0\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client.send(GET).await;
    client.head().await;
    assert_eq!(client.chunk().await.as_deref(), Some("first"));
    assert_eq!(world.handle.in_flight("slow"), 1);
    go_on.send(()).await.unwrap();
    assert_eq!(client.chunk().await.as_deref(), Some("last"));
    assert_eq!(client.chunk().await, None);
}

#[tokio::test]
async fn the_first_part_of_a_request_arrives_before_the_last_is_sent() {
    let (seen, mut first_seen) = mpsc::channel(1);
    let app = App::http("one", move |request| {
        let seen = seen.clone();
        async move {
            let mut body = request.into_body();
            let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
            seen.send(first).await.unwrap();
            Response::new(Full::from(body.collect().await.unwrap().to_bytes()))
        }
    })
    .await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        .await;
    assert_eq!(
        patiently("the first part", first_seen.recv())
            .await
            .unwrap(),
        "first"
    );
    let reply = client.ask("4\r\nlast\r\n0\r\n\r\n").await;
    assert_eq!(reply.body, "last");
    assert_eq!(world.handle.counters().services["app"].request_bytes, 9);
}

#[tokio::test]
async fn a_large_body_comes_back_as_it_was_sent() {
    let app = App::http("echo", |request| async move {
        Response::new(Full::from(
            request.into_body().collect().await.unwrap().to_bytes(),
        ))
    })
    .await;
    let world = World::with(&[&app]);
    let body: String = (0..3_000_000)
        .map(|n| char::from(b'a' + (n % 23) as u8))
        .collect();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let reply = world.ask(&(head + &body)).await;
    assert_eq!(reply.header("content-length"), Some("3000000"));
    assert!(reply.body == body);
}

#[tokio::test]
async fn a_client_that_waits_for_100_gets_it_and_the_upstream_need_not_know() {
    let app = App::http("one", |request| async move {
        let expected = request.headers().contains_key("expect");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(Full::from(
            [&body[..], if expected { b"?" } else { b"!" }].concat(),
        ))
    })
    .await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client
        .send("PUT / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n");
    assert_eq!(client.ask("hello").await.body, "hello!");
}

#[tokio::test]
async fn head_and_bodiless_answers_keep_their_length_and_the_connection() {
    let app = App::http("one", |request| async move {
        let mut response = Response::new(Full::from("twelve bytes"));
        if request.uri() == "/304" {
            *response.body_mut() = Full::default();
            *response.status_mut() = http::StatusCode::NOT_MODIFIED;
        }
        response
    })
    .await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client.send("HEAD / HTTP/1.1\r\nHost: app\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.contains("content-length: 12\r\n"), "{head}");
    let reply = client.ask("GET /304 HTTP/1.1\r\nHost: app\r\n\r\n").await;
    assert_eq!((reply.status, reply.body.as_str()), (304, ""));
    assert_eq!(client.ask(GET).await.body, "twelve bytes");
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn an_http_1_0_client_and_an_http_1_0_app_understand_each_other_and_us() {
    let app = App::raw("old", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        read_head(&mut stream).await;
        let _ = stream
            .write_all(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")
            .await;
    })
    .await;
    let world = World::with(&[&app]);
    let reply = world.ask(GET).await;
    assert_eq!(
        (reply.header("transfer-encoding"), reply.body.as_str()),
        (Some("chunked"), "until the end")
    );
    let mut client = world.client().await;
    client.send("GET / HTTP/1.0\r\nHost: app\r\n\r\n").await;
    let all = client.rest().await;
    assert!(
        all.starts_with("HTTP/1.0 200 OK\r\n") && all.ends_with("\r\n\r\nuntil the end"),
        "{all}"
    );
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_request_at_the_upstream() {
    let (ended, mut has_ended) = mpsc::channel(1);
    let app = App::raw("slow", move |stream, _| {
        let ended = ended.clone();
        async move {
            let mut stream = BufReader::new(stream);
            read_head(&mut stream).await;
            ended.send("asked").await.unwrap();
            let _ = stream.read(&mut [0]).await;
            ended.send("closed").await.unwrap();
        }
    })
    .await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client.send(GET).await;
    assert_eq!(
        patiently("the request", has_ended.recv()).await,
        Some("asked")
    );
    client.leave();
    assert_eq!(
        patiently("the close", has_ended.recv()).await,
        Some("closed")
    );
    world.route(&[]);
    patiently("the drain", world.handle.wait_drained("slow")).await;
}

#[tokio::test]
async fn trailers_pass() {
    let app = App::raw("one", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        read_head(&mut stream).await;
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
                      2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n";
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: app\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n")
        .await;
    let all = client.rest().await;
    assert!(all.ends_with("2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n"), "{all}");
}

#[tokio::test]
async fn an_early_answer_does_not_wait_for_the_rest_of_the_request() {
    let app = App::raw("one", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        read_head(&mut stream).await;
        let answer = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\ntoo";
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    let reply = client
        .ask("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 9\r\n\r\nfour")
        .await;
    assert_eq!((reply.status, reply.body.as_str()), (413, "too"));
    client.leave();
    world.route(&[]);
    patiently("the drain", world.handle.wait_drained("one")).await;
}

#[tokio::test]
async fn bytes_that_are_no_text_pass_in_headers() {
    let app = App::http("one", |request| async move {
        let value = request.headers()["x-bytes"].as_bytes().to_vec();
        Response::new(Full::from(Bytes::from(format!("{value:?}"))))
    })
    .await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client
        .stream
        .write_all(b"GET / HTTP/1.1\r\nHost: app\r\nX-Bytes: \xe4\xff\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(client.reply().await.body, "[228, 255]");
}

#[tokio::test]
async fn a_client_that_stops_to_read_for_a_while_gets_all_of_a_large_answer() {
    const BYTES: usize = 16 * 1024 * 1024;
    // Each byte tells its place, by a period that is no power of two.
    let byte_at = |place: usize| (place % 251) as u8;
    let (told, mut has_told) = mpsc::channel(1);
    let app = App::raw("large", move |stream, _| {
        let told = told.clone();
        async move {
            let mut stream = BufReader::new(stream);
            read_head(&mut stream).await;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let body: Vec<u8> = (0..BYTES).map(byte_at).collect();
            let (first, rest) = body.split_at(BYTES / 64);
            stream.write_all(first).await.unwrap();
            told.send(()).await.unwrap();
            stream.write_all(rest).await.unwrap();
        }
    })
    .await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client.send(GET).await;
    client.head().await;
    // The rest is sent faster than it is read and looked at below.
    patiently("the first part", has_told.recv()).await;
    let mut read = 0;
    let mut piece = vec![0; 100_000];
    while read < BYTES {
        let length = piece.len().min(BYTES - read);
        let piece = &mut piece[..length];
        patiently("a piece", client.stream.read_exact(piece))
            .await
            .unwrap();
        assert!(
            (read..)
                .zip(piece.iter())
                .all(|(place, byte)| *byte == byte_at(place))
        );
        read += length;
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_whole_to_http_1_0() {
    let app = App::raw("breaks off", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        read_head(&mut stream).await;
        let part = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
        let _ = stream.write_all(part).await;
    })
    .await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client.send("GET / HTTP/1.0\r\nHost: app\r\n\r\n").await;
    let mut all = Vec::new();
    let ended = patiently("the end", client.stream.read_to_end(&mut all)).await;
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
}
