//! HTTP/2 from clients: over TLS by ALPN, over plain TCP by prior knowledge, forwarded as HTTP/1.

use crate::secure::{Caller, SecureWorld, certificate};
use crate::world::{App, World, patiently, read_head};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::ext::Protocol;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

type Body = Full<Bytes>;

/// Speaks HTTP/2 over a stream.
pub(crate) async fn speak<S, B>(stream: S) -> SendRequest<B>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let io = TokioIo::new(stream);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    sender
}

pub(crate) async fn prior_knowledge(address: SocketAddr) -> SendRequest<Body> {
    speak(TcpStream::connect(address).await.unwrap()).await
}

pub(crate) fn get(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::default()).unwrap()
}

async fn text(response: Response<hyper::body::Incoming>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// An app that answers with the request line and head of the request, as they came.
async fn mirror() -> App {
    App::raw("mirror", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        loop {
            let head = read_head(&mut stream).await;
            if head.is_empty() {
                return;
            }
            let length = head.len();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{head}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn prior_knowledge_is_understood_on_a_plain_listener() {
    let app = mirror().await;
    let world = World::with(&[&app]);
    let mut sender = prior_knowledge(world.address).await;
    let mut request = get("http://app/path?query=1");
    for crumb in ["a=1", "b=2"] {
        request
            .headers_mut()
            .append("cookie", crumb.parse().unwrap());
    }
    let response = patiently("an answer", sender.send_request(request))
        .await
        .unwrap();
    assert_eq!(
        (response.status(), response.version()),
        (StatusCode::OK, Version::HTTP_2)
    );
    let seen = text(response).await;
    assert!(seen.starts_with("GET /path?query=1 HTTP/1.1\r\n"), "{seen}");
    for line in ["host: app", "cookie: a=1; b=2", "x-forwarded-proto: http"] {
        assert!(seen.lines().any(|seen| seen == line), "{line} in {seen}");
    }
}

#[tokio::test]
async fn a_preface_in_pieces_is_understood_and_what_only_begins_like_one_is_not() {
    let app = mirror().await;
    let world = World::with(&[&app]);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for cut in [1, 3, 16, 23, 24, 30] {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (first, second) = preface.split_at(cut);
        stream.write_all(first).await.unwrap();
        // The first part has been read by the time another connection, made later, is answered.
        assert_eq!(
            world
                .ask("GET / HTTP/1.1\r\nHost: app\r\n\r\n")
                .await
                .status,
            200
        );
        stream.write_all(second).await.unwrap();
        let mut header = [0; 9];
        patiently("a frame", stream.read_exact(&mut header))
            .await
            .unwrap();
        assert_eq!(header[3], 4, "settings, cut at {cut}");
    }
    for beginning in ["P", "PRI * HTTP/2.0\r\n\r\nSM\r\n"] {
        let mut client = world.client().await;
        client.send(beginning).await;
        assert_eq!(
            world
                .ask("GET / HTTP/1.1\r\nHost: app\r\n\r\n")
                .await
                .status,
            200
        );
        if beginning == "P" {
            let rest = "OST / HTTP/1.1\r\nHost: app\r\nContent-Length: 0\r\n\r\n";
            assert!(
                client
                    .ask(rest)
                    .await
                    .body
                    .starts_with("POST / HTTP/1.1\r\n")
            );
        } else {
            client.stream.shutdown().await.unwrap();
            assert!(
                client.rest().await.starts_with("HTTP/1.1 400 "),
                "{beginning}"
            );
        }
    }
}

#[tokio::test]
async fn alpn_chooses_and_many_requests_share_a_connection() {
    let (app, shown) = (mirror().await, certificate(&["app.test"]));
    let world = SecureWorld::with(&app, &["app.test"], &[&shown]);
    let caller = Caller::trusting(&[&shown]).offering(&["h2", "http/1.1"]);
    let stream = world.connect(&caller, "app.test").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let sender = speak(stream).await;
    let asked = (0..50).map(|number| {
        let mut sender = sender.clone();
        async move {
            let uri = format!("https://app.test/{number}");
            let response = sender.send_request(get(&uri)).await.unwrap();
            let seen = text(response).await;
            assert!(seen.starts_with(&format!("GET /{number} ")), "{seen}");
            assert!(seen.contains("x-forwarded-proto: https\r\n"), "{seen}");
        }
    });
    patiently("the answers", futures_util::future::join_all(asked)).await;
}

#[tokio::test]
async fn the_authority_names_the_host_and_nothing_may_disagree() {
    let app = App::named("one").await;
    let (own, other) = (
        certificate(&["app.test", "www.app.test"]),
        certificate(&["other.test"]),
    );
    let world = SecureWorld::with(
        &app,
        &["app.test", "www.app.test", "other.test"],
        &[&own, &other],
    );
    let caller = Caller::trusting(&[&own]).offering(&["h2"]);
    let mut sender = speak(world.connect(&caller, "app.test").await.unwrap()).await;
    for (uri, host, status) in [
        ("https://app.test/", None, 200),
        ("https://app.test/", Some("app.test"), 200),
        ("https://app.test/", Some("other.test"), 400),
        ("https://app.test/", Some("app.test:443"), 400),
        ("https://www.app.test/", None, 200),
        ("https://other.test/", None, 421),
    ] {
        let mut request = get(uri);
        if let Some(host) = host {
            request.headers_mut().insert("host", host.parse().unwrap());
        }
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), status, "{uri} {host:?}");
    }
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn bodies_pass_both_ways_with_their_lengths_or_without() {
    let app = App::http("echo", |request| async move {
        let coding = request.headers().get("transfer-encoding").is_some();
        let length = request.headers().get("content-length").cloned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let mut response = Response::new(Full::from(body));
        let said = format!("{coding} {length:?}");
        response
            .headers_mut()
            .insert("x-framed", said.parse().unwrap());
        response
    })
    .await;
    let world = World::with(&[&app]);
    let stream = TcpStream::connect(world.address).await.unwrap();
    let mut sender = speak(stream).await;
    let sent = Bytes::from(vec![b'x'; 300_000]);
    let stream_of = |body: Bytes| {
        let frames =
            futures_util::stream::iter([Ok::<_, std::io::Error>(http_body::Frame::data(body))]);
        http_body_util::StreamBody::new(frames).boxed()
    };
    for with_length in [true, false] {
        let mut request = Request::post("http://app/")
            .body(stream_of(sent.clone()))
            .unwrap();
        if with_length {
            request
                .headers_mut()
                .insert("content-length", sent.len().into());
        }
        let response = patiently("an answer", sender.send_request(request))
            .await
            .unwrap();
        let framed = response
            .headers()
            .get("x-framed")
            .unwrap()
            .to_str()
            .unwrap();
        let expected = if with_length {
            "false Some(\"300000\")"
        } else {
            "true None"
        };
        assert_eq!(framed, expected);
        let body = patiently("a body", response.into_body().collect())
            .await
            .unwrap();
        assert_eq!(body.to_bytes(), sent);
    }
}

#[tokio::test]
async fn a_head_over_the_limit_is_answered_431() {
    let app = App::named("one").await;
    let world = World::with(&[&app]);
    let mut sender = prior_knowledge(world.address).await;
    let mut request = get("http://app/");
    request
        .headers_mut()
        .insert("x-long", "x".repeat(70_000).parse().unwrap());
    let response = patiently("an answer", sender.send_request(request))
        .await
        .unwrap();
    assert_eq!(response.status(), 431);
    assert_eq!(app.connections(), 0);
    let response = sender.send_request(get("http://app/")).await.unwrap();
    assert_eq!(response.status(), 200, "the connection goes on");
}

#[tokio::test]
async fn a_request_that_is_reset_ends_at_the_upstream() {
    let (ended, mut has_ended) = mpsc::channel(1);
    let app = App::raw("slow", move |stream, _| {
        let ended = ended.clone();
        async move {
            let mut stream = BufReader::new(stream);
            read_head(&mut stream).await;
            ended.send("begun").await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
            ended.send("ended").await.unwrap();
        }
    })
    .await;
    let world = World::with(&[&app]);
    let mut sender = prior_knowledge(world.address).await;
    let answer = tokio::spawn(sender.send_request(get("http://app/")));
    assert_eq!(
        patiently("the request", has_ended.recv()).await,
        Some("begun")
    );
    answer.abort();
    assert_eq!(patiently("its end", has_ended.recv()).await, Some("ended"));
    assert!(!sender.is_closed());
}

#[tokio::test]
async fn a_websocket_comes_as_an_extended_connect() {
    let app = App::raw("echo", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        let head = read_head(&mut stream).await;
        let asks = head.starts_with("GET /chat HTTP/1.1\r\n")
            && head.contains("upgrade: websocket\r\n")
            && head.contains("sec-websocket-version: 13\r\n")
            && crate::world::header(&head, "sec-websocket-key").is_some_and(|key| key.len() == 24);
        if !asks {
            let refusal = format!("HTTP/1.1 400 No\r\nContent-Length: {}\r\n\r\n{head}", head.len());
            stream.write_all(refusal.as_bytes()).await.unwrap();
            return;
        }
        let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: y\r\nSec-WebSocket-Protocol: chat\r\n\r\nwelcome";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            stream.write_all(&buffer[..read]).await.unwrap();
        }
    })
    .await;
    let world = World::with(&[&app]);
    let stream = TcpStream::connect(world.address).await.unwrap();
    let mut sender = speak::<_, Empty<Bytes>>(stream).await;
    let ask = |path: &str, protocol: Option<&'static str>| {
        let mut request = Request::connect(format!("http://app{path}"))
            .header("sec-websocket-version", "13")
            .body(Empty::new())
            .unwrap();
        if let Some(protocol) = protocol {
            request
                .extensions_mut()
                .insert(Protocol::from_static(protocol));
        }
        request
    };
    // The server's settings, which allow it, come with the first answer at the latest.
    let first = Request::get("http://nobody/").body(Empty::new()).unwrap();
    assert_eq!(sender.send_request(first).await.unwrap().status(), 404);
    let mut response = sender
        .send_request(ask("/chat", Some("websocket")))
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers().get("sec-websocket-protocol").unwrap(),
        "chat"
    );
    assert_eq!(response.headers().get("sec-websocket-accept"), None);
    let mut socket = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    let mut greeting = [0; 7];
    patiently("a greeting", socket.read_exact(&mut greeting))
        .await
        .unwrap();
    assert_eq!(&greeting, b"welcome");
    socket.write_all(b"hello").await.unwrap();
    let mut echoed = [0; 5];
    patiently("an echo", socket.read_exact(&mut echoed))
        .await
        .unwrap();
    assert_eq!(&echoed, b"hello");
    assert_eq!(world.handle.in_flight("echo"), 1);
    // One that the app refuses, another protocol, and a plain tunnel.
    for (path, protocol, status) in [
        ("/other", Some("websocket"), 400),
        ("/chat", Some("connect-udp"), 405),
    ] {
        let response = sender.send_request(ask(path, protocol)).await.unwrap();
        assert_eq!(response.status(), status, "{path} {protocol:?}");
    }
    drop(socket);
    world.route(&[]);
    patiently("the drain", world.handle.wait_drained("echo")).await;
}

#[tokio::test]
async fn stopping_says_goaway_and_lets_requests_finish() {
    let (asked, mut was_asked) = mpsc::channel(1);
    let (finish, may_finish) = watch::channel(false);
    let app = App::http("slow", move |_| {
        let (asked, mut may_finish) = (asked.clone(), may_finish.clone());
        async move {
            asked.send(()).await.unwrap();
            may_finish.wait_for(|may| *may).await.unwrap();
            Response::new("done".into())
        }
    })
    .await;
    let world = World::with(&[&app]);
    let mut sender = prior_knowledge(world.address).await;
    let mut idle = prior_knowledge(world.address).await;
    assert_eq!(
        idle.send_request(get("http://nobody/"))
            .await
            .unwrap()
            .status(),
        404
    );
    let answer = tokio::spawn(sender.send_request(get("http://app/")));
    patiently("the request", was_asked.recv()).await;
    let stopping = tokio::spawn(world.proxy.shutdown(Duration::from_secs(60)));
    patiently("the idle one's end", async {
        while !idle.is_closed() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    finish.send(true).unwrap();
    let response = patiently("the answer", answer).await.unwrap().unwrap();
    assert_eq!(text(response).await, "done");
    patiently("the end", stopping).await.unwrap();
}
