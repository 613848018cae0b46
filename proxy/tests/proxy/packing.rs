//! Answers are compressed for clients that take it, as they come.

use crate::policy::world_with;
use crate::world::{App, read_head};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use mini_proxy::Policy;
use std::io::Read as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;

fn policy() -> Policy {
    Policy {
        compression: true,
        ..Policy::default()
    }
}

fn asking(method: &str, accepted: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: app\r\nAccept-Encoding: {accepted}\r\n\r\n")
}

fn unpacked(coding: Option<&str>, packed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match coding {
        Some("gzip") => flate2::read::GzDecoder::new(packed).read_to_end(&mut plain),
        Some("br") => brotli::Decompressor::new(packed, 4096).read_to_end(&mut plain),
        Some("zstd") => return zstd::stream::decode_all(packed).unwrap(),
        other => panic!("packed by {other:?}"),
    }
    .unwrap();
    plain
}

/// Text that shrinks, but not to nothing.
fn text(bytes: usize) -> String {
    let words = (0_u32..).map(|number| format!("{:x} ", number.wrapping_mul(2_654_435_761)));
    let mut text = String::new();
    for word in words {
        if text.len() + word.len() > bytes {
            break;
        }
        text.push_str(&word);
    }
    text
}

async fn html(body: String) -> App {
    App::http("one", move |_| {
        let body = body.clone();
        async move {
            let answer = Response::builder()
                .header("content-type", "text/html; charset=utf-8")
                .header("etag", "\"one\"");
            answer.body(Full::from(body)).unwrap()
        }
    })
    .await
}

#[tokio::test]
async fn a_page_comes_packed_as_the_client_takes_it() {
    for bytes in [1500, 300_000] {
        let body = text(bytes);
        let world = world_with(policy(), &html(body.clone()).await);
        let mut client = world.client().await;
        for (accepted, coding) in [
            ("gzip", "gzip"),
            ("br", "br"),
            ("zstd", "zstd"),
            ("gzip, deflate, br, zstd", "zstd"),
            ("gzip, br;q=0.5", "gzip"),
        ] {
            let reply = client.ask(&asking("GET", accepted)).await;
            assert_eq!(reply.header("content-encoding"), Some(coding), "{accepted}");
            assert_eq!(reply.header("vary"), Some("Accept-Encoding"));
            assert_eq!(reply.header("etag"), Some("W/\"one\""));
            assert!(
                reply.bytes.len() < body.len() * 4 / 5,
                "{}",
                reply.bytes.len()
            );
            let plain = unpacked(reply.header("content-encoding"), &reply.bytes);
            assert!(plain == body.as_bytes(), "{coding} of {bytes}");
        }
        let plain = client.ask(&asking("GET", "identity")).await;
        assert_eq!(plain.header("content-encoding"), None);
        assert_eq!(plain.header("vary"), Some("Accept-Encoding"));
        assert_eq!(plain.header("etag"), Some("\"one\""));
        assert_eq!(plain.body, body);
        client.send(&asking("HEAD", "gzip")).await;
        let head = client.head().await;
        assert!(!head.contains("content-encoding"), "{head}");
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{head}"
        );
    }
}

#[tokio::test]
async fn a_service_that_does_not_ask_for_it_is_left_alone() {
    let world = world_with(Policy::default(), &html(text(5000)).await);
    let reply = world.ask(&asking("GET", "gzip")).await;
    assert_eq!(reply.header("content-encoding"), None);
    assert_eq!(reply.header("vary"), None);
}

/// An app that sends a head and then, each time it is told to, a part.
async fn in_parts(head: &'static str, parts: &'static [&'static str]) -> (App, mpsc::Sender<()>) {
    let (go_on, may_go_on) = mpsc::channel::<()>(1);
    let may_go_on = std::sync::Arc::new(tokio::sync::Mutex::new(may_go_on));
    let app = App::raw("parts", move |stream, _| {
        let may_go_on = std::sync::Arc::clone(&may_go_on);
        async move {
            let mut stream = BufReader::new(stream);
            read_head(&mut stream).await;
            let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{head}\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            for part in parts {
                let chunk = format!("{:x}\r\n{part}\r\n", part.len());
                stream.write_all(chunk.as_bytes()).await.unwrap();
                may_go_on.lock().await.recv().await;
            }
            let end = b"0\r\nX-Sum: 7\r\n\r\n";
            stream.write_all(end).await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await;
    (app, go_on)
}

#[tokio::test]
async fn what_the_app_has_sent_arrives_before_it_sends_more() {
    let head = "Content-Type: application/x-ndjson\r\nTrailer: X-Sum\r\n";
    for coding in ["gzip", "br", "zstd"] {
        let (app, go_on) = in_parts(head, &["{\"first\":1}\n", "{\"second\":2}\n"]).await;
        let world = world_with(policy(), &app);
        let mut client = world.client().await;
        client
            .send(&asking("GET", &format!("{coding}\r\nTE: trailers")))
            .await;
        let head = client.head().await;
        assert!(
            head.contains(&format!("content-encoding: {coding}")),
            "{head}"
        );
        // All of the first part can be read while the app waits.
        let mut packed = Vec::new();
        while !begun(coding, &packed).ends_with(b"}\n") {
            packed.extend(client.chunk_bytes().await.unwrap());
        }
        assert_eq!(begun(coding, &packed), b"{\"first\":1}\n", "{coding}");
        go_on.send(()).await.unwrap();
        go_on.send(()).await.unwrap();
        while let Some(chunk) = client.chunk_bytes().await {
            packed.extend(chunk);
        }
        let plain = unpacked(Some(coding), &packed);
        assert_eq!(plain, b"{\"first\":1}\n{\"second\":2}\n", "{coding}");
        assert_eq!(client.head().await, "x-sum: 7\r\n", "{coding}");
    }
}

/// As much as can be unpacked of the beginning of a stream.
fn begun(coding: &str, packed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut reader: Box<dyn std::io::Read + '_> = match coding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(packed)),
        "br" => Box::new(brotli::Decompressor::new(packed, 4096)),
        _ => Box::new(zstd::stream::read::Decoder::new(packed).unwrap()),
    };
    let mut byte = [0];
    while let Ok(1) = reader.read(&mut byte) {
        plain.push(byte[0]);
    }
    plain
}

/// Status and header lines of an answer, and the coding it has then.
type Case = (
    u16,
    &'static [(&'static str, &'static str)],
    Option<&'static str>,
);

#[tokio::test]
async fn events_parts_and_what_is_packed_already_pass_as_they_are() {
    let body = text(5000);
    let plain: &[Case] = &[
        (200, &[("content-type", "text/event-stream")], None),
        (200, &[("content-type", "image/png")], None),
        (206, &[("content-type", "text/html")], None),
        (
            200,
            &[("content-type", "text/html"), ("content-encoding", "br")],
            Some("br"),
        ),
        (
            200,
            &[
                ("content-type", "text/html"),
                ("cache-control", "no-transform"),
            ],
            None,
        ),
    ];
    for (status, lines, encoding) in plain {
        let sent = body.clone();
        let app = App::http("one", move |_| {
            let sent = Bytes::from(sent.clone());
            async move {
                let mut answer = Response::builder().status(*status);
                for (name, value) in *lines {
                    answer = answer.header(*name, *value);
                }
                answer.body(Full::new(sent)).unwrap()
            }
        })
        .await;
        let world = world_with(policy(), &app);
        let reply = world.ask(&asking("GET", "gzip, zstd")).await;
        assert_eq!(reply.body, body);
        assert_eq!(reply.header("content-encoding"), *encoding, "{reply:?}");
    }
}

#[tokio::test]
async fn a_packed_answer_that_breaks_off_breaks_off_for_the_client_too() {
    let app = App::raw("breaking", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        read_head(&mut stream).await;
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nContent-Length: 5000\r\n\r\nhalf";
        let _ = stream.write_all(head.as_bytes()).await;
    })
    .await;
    let world = world_with(policy(), &app);
    let mut client = world.client().await;
    client.send(&asking("GET", "gzip")).await;
    let head = client.head().await;
    assert!(head.contains("content-encoding: gzip"), "{head}");
    let mut rest = Vec::new();
    let _ = client.stream.read_to_end(&mut rest).await;
    assert!(
        !rest.ends_with(b"0\r\n\r\n"),
        "the end of the body was made up"
    );
}
