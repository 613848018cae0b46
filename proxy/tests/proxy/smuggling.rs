//! Requests made to be read in two ways, byte for byte, over HTTP/1 and as frames of HTTP/2.

use crate::frames::{DATA, END_STREAM, End, Framer, PROTOCOL_ERROR, PSEUDO};
use crate::world::{App, Client, World, read_head};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};

/// An app that answers each request with all it has read of its connection so far.
async fn recorder() -> App {
    App::raw("recorder", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        let mut seen = String::new();
        loop {
            let head = read_head(&mut stream).await;
            if head.is_empty() {
                return;
            }
            if let Some(length) = crate::world::header(&head, "content-length") {
                let mut body = vec![0; length.parse().unwrap()];
                stream.read_exact(&mut body).await.unwrap();
            }
            seen.push_str(&head);
            let requests = seen.matches(" HTTP/1.1\r\n").count();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{requests}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await
}

/// What follows a request, and must never reach an upstream as one of its own.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: app\r\n\r\n";

async fn check_refused(lines: &str, status: u16) {
    let app = App::named("one").await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client.send(lines).await;
    let reply = client.reply().await;
    assert_eq!(reply.status, status, "{lines:?}");
    assert_eq!(client.rest().await, "", "closed after {lines:?}");
    assert_eq!(app.connections(), 0, "{lines:?}");
}

#[tokio::test]
async fn lengths_that_two_servers_could_read_differently_are_refused() {
    for length in [
        "Content-Length: 4\r\nContent-Length: 5",
        "Content-Length: +4",
        "Content-Length: -4",
        "Content-Length: 0x4",
        "Content-Length: 4,5",
        "Content-Length: 4 4",
        "Content-Length: ",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding : chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding\r\n: chunked",
    ] {
        let request =
            format!("POST / HTTP/1.1\r\nHost: app\r\n{length}\r\n\r\n0\r\n\r\n{SMUGGLED}");
        check_refused(&request, 400).await;
    }
}

#[tokio::test]
async fn heads_that_two_servers_could_read_differently_are_refused() {
    for head in [
        "GET / HTTP/1.1\r\nHost: app\r\nX: 1\r\n folded: 2",
        "GET / HTTP/1.1\r\nHost: app\r\nX: a\0b",
        "GET / HTTP/1.1\r\nHost: app\r\nX\0: a",
        "GET / HTTP/1.1\r\nHost: app\r\nX: a\rHost: other",
        "GET /\0 HTTP/1.1\r\nHost: app",
        "GET / HTTP/1.1\r\nHost: app\r\nno colon",
        "GET / HTTP/1.1\r\nHost: app\r\n: no name",
        "GET / HTTP/1.1\r\nHost: app\r\nX Y: space in a name",
        "GET  / HTTP/1.1\r\nHost: app",
        "GET / HTTP/1.1 \r\nHost: app",
        "GET / HTTP/9.1\r\nHost: app",
        "GET / HTTP/1.1\r\nHost: app\r\nHost: other",
        "GET / HTTP/1.1\r\nHost: app other",
        "GET / HTTP/1.1\r\nHost: app,other",
        "GET path HTTP/1.1\r\nHost: app",
        "G\"T / HTTP/1.1\r\nHost: app",
    ] {
        check_refused(&format!("{head}\r\n\r\n"), 400).await;
    }
}

#[tokio::test]
async fn a_bare_line_feed_is_the_end_of_no_line() {
    // RFC 9112 section 2.2 lets a reader take it for one: two readers may differ.
    for head in [
        "GET / HTTP/1.1\nHost: app\nX: 1\n\n",
        "GET / HTTP/1.1\r\nHost: app\r\nX: 1\nY: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: app\r\n\n",
        "\nGET / HTTP/1.1\r\nHost: app\r\n\r\n",
    ] {
        check_refused(head, 400).await;
    }
    let app = recorder().await;
    let world = World::with(&[&app]);
    for chunks in [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "0\n\n",
        "0\r\nX: y\nZ: z\r\n\r\n",
    ] {
        let mut client = world.client().await;
        let request = format!(
            "POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}{SMUGGLED}"
        );
        client.send(&request).await;
        let answers = client.rest().await;
        assert!(!answers.contains(" 200 OK"), "{chunks:?}: {answers}");
    }
}

#[tokio::test]
async fn chunk_sizes_that_two_servers_could_read_differently_are_refused() {
    let app = App::raw("silent", |mut stream, _| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let world = World::with(&[&app]);
    for chunk in [
        "0x5\r\nhello\r\n",
        "+5\r\nhello\r\n",
        "5 5\r\nhello\r\n",
        "\r\n",
        "ffffffffffffffffff\r\n",
        "5\r\nhelloX\r\n",
    ] {
        let mut client = world.client().await;
        let request = format!(
            "POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n{SMUGGLED}"
        );
        client.send(&request).await;
        let answers = client.rest().await;
        assert!(answers.starts_with("HTTP/1.1 400 "), "{chunk:?}: {answers}");
        assert_eq!(answers.matches("HTTP/1.1").count(), 1, "{answers}");
    }
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let app = App::named("one").await;
    let world = World::with(&[&app]);
    for (filler, status) in [
        ("X: y\r\n".repeat(20_000), 431),
        (format!("X: {}", "y".repeat(100_000)), 431),
    ] {
        let mut client = world.client().await;
        // It answers before it has read all, and what it does not read may reset the connection.
        let _ = client
            .stream
            .write_all(format!("GET / HTTP/1.1\r\nHost: app\r\n{filler}").as_bytes())
            .await;
        let head = client.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
    assert_eq!(app.connections(), 0);
}

async fn check_fields(fields: &[(&str, &str)], expected: End) {
    let app = App::named("one").await;
    let world = World::with(&[&app]);
    let mut framer = Framer::connect(&world).await;
    framer.ask(END_STREAM, fields).await;
    assert_eq!(framer.end().await, expected, "{fields:?}");
    let is_answered = expected == End::Answered(200);
    assert_eq!(app.connections(), usize::from(is_answered), "{fields:?}");
}

#[tokio::test]
async fn frames_that_hold_what_http_1_would_read_differently_are_refused() {
    let with = |field: (&'static str, &'static str)| [PSEUDO.as_slice(), &[field]].concat();
    check_fields(&with(("x-fine", "1")), End::Answered(200)).await;
    for field in [
        ("X-Upper", "1"),
        ("connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("keep-alive", "1"),
        ("proxy-connection", "keep-alive"),
        ("te", "gzip"),
        ("x-split", "a\r\nhost: other"),
        ("x-nul", "a\0b"),
        ("x space", "1"),
        ("x:colon", "1"),
        ("", "1"),
        (":path", "/late"),
        (":unknown", "1"),
    ] {
        let app = App::named("one").await;
        let world = World::with(&[&app]);
        let mut framer = Framer::connect(&world).await;
        framer.ask(END_STREAM, &with(field)).await;
        let end = framer.end().await;
        assert!(
            matches!(end, End::Reset(_) | End::Closed(_)),
            "{field:?}: {end:?}"
        );
        assert_eq!(app.connections(), 0, "{field:?}");
    }
}

#[tokio::test]
async fn pseudo_fields_that_name_no_request_are_refused() {
    let but = |name: &str, value: &'static str| {
        PSEUDO.map(|field| {
            if field.0 == name {
                (field.0, value)
            } else {
                field
            }
        })
    };
    let without = |name: &str| {
        PSEUDO
            .into_iter()
            .filter(|field| field.0 != name)
            .collect::<Vec<_>>()
    };
    for fields in [
        but(":path", "path").to_vec(),
        but(":path", "").to_vec(),
        but(":path", "?a").to_vec(),
        but(":path", "/ HTTP/1.1\r\nHost: other\r\n\r\n").to_vec(),
        but(":path", "/a b").to_vec(),
        but(":method", "GET / HTTP/1.1\r\n").to_vec(),
        but(":method", "").to_vec(),
        but(":authority", "app/x").to_vec(),
        but(":authority", "user@app").to_vec(),
        but(":authority", "app\r\nx: y").to_vec(),
        without(":path"),
        without(":method"),
        without(":scheme"),
        without(":authority"),
        [PSEUDO.as_slice(), &[("host", "other")]].concat(),
        [PSEUDO.as_slice(), &[("host", "app"), ("host", "app")]].concat(),
        [&PSEUDO[..], &PSEUDO[..1]].concat(),
    ] {
        let app = App::named("one").await;
        let world = World::with(&[&app]);
        let mut framer = Framer::connect(&world).await;
        framer.ask(END_STREAM, &fields).await;
        let end = framer.end().await;
        let is_refused = matches!(end, End::Reset(_) | End::Closed(_) | End::Answered(400));
        assert!(is_refused, "{fields:?}: {end:?}");
        assert_eq!(app.connections(), 0, "{fields:?}");
    }
}

#[tokio::test]
async fn a_path_that_is_all_fragment_reaches_the_upstream_as_one() {
    // The upstream once got `GET  HTTP/1.1`.
    let fields = PSEUDO.map(|(name, value)| (name, if name == ":path" { "#a" } else { value }));
    check_fields(&fields, End::Answered(200)).await;
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_it_says_is_not_taken_for_whole() {
    for (length, data) in [("4", "body and more"), ("10", "short")] {
        let app = App::http("reader", |request| async move {
            let body = http_body_util::BodyExt::collect(request.into_body()).await;
            assert!(body.is_err(), "the app took a broken body for whole");
            hyper::Response::new("".into())
        })
        .await;
        let world = World::with(&[&app]);
        let mut framer = Framer::connect(&world).await;
        let fields = [PSEUDO.as_slice(), &[("content-length", length)]].concat();
        framer.ask(0, &fields).await;
        framer.send(DATA, END_STREAM, 1, data.as_bytes()).await;
        let end = framer.end().await;
        assert!(
            matches!(end, End::Reset(_) | End::Closed(_) | End::Answered(400)),
            "{end:?}"
        );
    }
    check_fields(
        &[
            PSEUDO.as_slice(),
            &[("content-length", "4"), ("content-length", "5")],
        ]
        .concat(),
        End::Reset(PROTOCOL_ERROR),
    )
    .await;
}

#[tokio::test]
async fn a_tunnel_with_a_body_is_refused() {
    let tunnel = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", "app"),
        (":path", "/"),
        ("content-length", "5"),
    ];
    let app = App::named("one").await;
    let world = World::with(&[&app]);
    let mut framer = Framer::connect(&world).await;
    framer.ask(0, &tunnel).await;
    assert_eq!(framer.end().await, End::Reset(PROTOCOL_ERROR));
    assert_eq!(app.connections(), 0);
}

#[tokio::test]
async fn a_preface_that_is_none_is_http_1() {
    let app = App::named("one").await;
    let world = World::with(&[&app]);
    let mut client = Client::connect(world.address).await;
    client.send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").await;
    assert_eq!(client.reply().await.status, 400);
}

#[tokio::test]
async fn a_preface_that_is_not_the_first_is_none() {
    let app = App::named("one").await;
    let world = World::with(&[&app]);
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let mut client = Client::connect(world.address).await;
    client.send(&format!("\r\n{preface}")).await;
    assert_eq!(client.rest().await, "", "behind an empty line");
    let mut client = Client::connect(world.address).await;
    client
        .send(&format!("GET / HTTP/1.1\r\nHost: app\r\n\r\n{preface}"))
        .await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(client.rest().await, "", "behind a request");
}
