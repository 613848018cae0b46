//! Upstreams that are spoken to in HTTP/2, as gRPC servers are.

use crate::http2::{get, prior_knowledge, speak};
use crate::world::{App, World, patiently, table};
use bytes::Bytes;
use futures_util::stream;
use h2::Reason;
use h2::server::SendResponse;
use http::HeaderMap;
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{Request, Response};
use mini_proxy::{Policy, Protocol, Service};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};

/// A request as the upstream gets it, with the number of its connection and of itself on it, from 0.
struct Asked {
    request: Request<h2::RecvStream>,
    respond: SendResponse<Bytes>,
    connection: usize,
    number: usize,
}

/// An app that speaks HTTP/2 only, and does with each request what it is told.
async fn app<H, F>(id: &str, handler: H) -> App
where
    H: Fn(Asked) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    limited(id, 100, handler).await
}

async fn limited<H, F>(id: &str, streams: u32, handler: H) -> App
where
    H: Fn(Asked) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    App::raw(id, move |stream, connection| {
        let handler = handler.clone();
        async move {
            let mut builder = h2::server::Builder::new();
            let http = builder
                .max_concurrent_streams(streams)
                .handshake(stream)
                .await;
            let Ok(mut http) = http else { return };
            let mut number = 0;
            while let Some(Ok((request, respond))) = http.accept().await {
                tokio::spawn(handler(Asked {
                    request,
                    respond,
                    connection,
                    number,
                }));
                number += 1;
            }
        }
    })
    .await
}

fn route(world: &World, app: &App) {
    let service = Service {
        protocol: Protocol::H2c,
        ..Service::serving("app", [app.upstream.clone()])
    };
    world.handle.set_table(table("app", service));
}

fn answer(asked: &mut Asked, text: impl Into<Bytes>) {
    let mut body = asked
        .respond
        .send_response(Response::new(()), false)
        .unwrap();
    body.send_data(text.into(), true).unwrap();
}

fn trailers(name: &'static str, value: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert(name, value.parse().unwrap());
    trailers
}

#[tokio::test]
async fn a_client_of_http_1_reaches_an_upstream_of_http_2() {
    let app = app("h2c", |mut asked| async move {
        let (uri, headers) = (asked.request.uri().clone(), asked.request.headers().clone());
        let mut upload = 0;
        while let Some(data) = asked.request.body_mut().data().await {
            let length = data.unwrap().len();
            asked
                .request
                .body_mut()
                .flow_control()
                .release_capacity(length)
                .unwrap();
            upload += length;
        }
        let host = headers.contains_key("host") || headers.contains_key("transfer-encoding");
        answer(&mut asked, format!("{uri} {host} {upload}"));
    })
    .await;
    let world = World::with(&[]);
    route(&world, &app);
    let mut client = world.client().await;
    let reply = client.ask("GET /x?y=1 HTTP/1.1\r\nHost: app\r\n\r\n").await;
    assert_eq!(
        (reply.status, &*reply.body),
        (200, "http://app/x?y=1 false 0")
    );
    let chunked =
        "POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
    assert_eq!(client.ask(chunked).await.body, "http://app/ false 4");
    // Another upgrade than to WebSocket is not passed on: HTTP/2 has none.
    let upgrade = "GET / HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n";
    assert_eq!(client.ask(upgrade).await.body, "http://app/ false 0");
    assert_eq!(app.connections(), 1);
}

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// An app that takes WebSockets over HTTP/2, greets, and then sends back what it gets.
async fn sockets() -> App {
    App::raw("sockets", |stream, _| async move {
        let mut builder = h2::server::Builder::new();
        let http = builder.enable_connect_protocol().handshake(stream).await;
        let Ok(mut http) = http else { return };
        while let Some(Ok((request, mut respond))) = http.accept().await {
            tokio::spawn(async move {
                let (head, mut body) = request.into_parts();
                let protocol = head.extensions.get::<h2::ext::Protocol>();
                let is_asked = head.method == http::Method::CONNECT
                    && protocol.is_some_and(|protocol| protocol.as_str() == "websocket")
                    && head.uri == "http://app/chat"
                    && !head.headers.contains_key("sec-websocket-key")
                    && head.headers["x-forwarded-for"] == "127.0.0.1"
                    && head.headers["sec-websocket-version"] == "13";
                let mut answer = Response::new(());
                if !is_asked {
                    *answer.status_mut() = http::StatusCode::NOT_FOUND;
                    let mut stream = respond.send_response(answer, false).unwrap();
                    let text = format!("{} {}", head.method, head.uri);
                    stream.send_data(text.into(), true).unwrap();
                    return;
                }
                let name = "sec-websocket-protocol";
                answer.headers_mut().insert(name, "chat".parse().unwrap());
                let mut stream = respond.send_response(answer, false).unwrap();
                stream.send_data("welcome".into(), false).unwrap();
                while let Some(Ok(bytes)) = body.data().await {
                    body.flow_control().release_capacity(bytes.len()).unwrap();
                    stream.send_data(bytes, false).unwrap();
                }
                stream.send_data(Bytes::new(), true).unwrap();
            });
        }
    })
    .await
}

#[tokio::test]
async fn a_websocket_goes_over_http_2_to_an_upstream_that_takes_it() {
    let app = sockets().await;
    let world = World::with(&[]);
    route(&world, &app);
    let mut client = world.client().await;
    client.send(&format!("{UPGRADE}early")).await;
    let head = client.head().await;
    assert!(
        head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
        "{head}"
    );
    for (name, value) in [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-protocol", "chat"),
        // The example of RFC 6455 section 1.3.
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ] {
        assert_eq!(crate::world::header(&head, name), Some(value), "{head}");
    }
    assert_eq!(client.read_text(12).await, "welcomeearly");
    let long = "x".repeat(200_000);
    client.send(&long).await;
    assert_eq!(client.read_text(long.len()).await, long);
    assert_eq!(world.handle.in_flight("sockets"), 1);
    // Another on the same connection, one that is refused, and what is none.
    let mut second = world.client().await;
    second.send(UPGRADE).await;
    assert!(second.head().await.starts_with("HTTP/1.1 101 "));
    let refused = world.ask(&UPGRADE.replace("/chat", "/other")).await;
    assert_eq!(
        (refused.status, &*refused.body),
        (404, "CONNECT http://app/other")
    );
    let plain = world.ask("GET /plain HTTP/1.1\r\nHost: app\r\n\r\n").await;
    assert_eq!(plain.body, "GET http://app/plain");
    assert_eq!(app.connections(), 1);
    // The end of either side reaches the other.
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, "");
    drop(second);
    world.route(&[]);
    patiently("the drain", world.handle.wait_drained("sockets")).await;
}

#[tokio::test]
async fn a_websocket_over_http_2_stays_one_on_both_sides() {
    let app = sockets().await;
    let world = World::with(&[]);
    route(&world, &app);
    let stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let mut sender = speak::<_, http_body_util::Empty<Bytes>>(stream).await;
    let first = Request::get("http://nobody/")
        .body(Default::default())
        .unwrap();
    assert_eq!(sender.send_request(first).await.unwrap().status(), 404);
    let mut ask = Request::connect("http://app/chat")
        .header("sec-websocket-version", "13")
        .body(http_body_util::Empty::new())
        .unwrap();
    let protocol = hyper::ext::Protocol::from_static("websocket");
    ask.extensions_mut().insert(protocol);
    let mut response = sender.send_request(ask).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("sec-websocket-accept"));
    let upgraded = hyper::upgrade::on(&mut response).await.unwrap();
    let mut socket = hyper_util::rt::TokioIo::new(upgraded);
    socket.write_all(b"hello").await.unwrap();
    let mut echoed = [0; 12];
    patiently("an echo", socket.read_exact(&mut echoed))
        .await
        .unwrap();
    assert_eq!(&echoed, b"welcomehello");
}

/// An app that tells HTTP/2 from HTTP/1.1 by the first bytes, says which it was, and takes WebSockets over the latter only.
async fn both() -> App {
    App::raw("both", |stream, _| async move {
        let mut first = [0; 3];
        if stream.peek(&mut first).await.unwrap() == 3 && &first == b"PRI" {
            let Ok(mut http) = h2::server::handshake(stream).await else {
                return;
            };
            while let Some(Ok((_, mut respond))) = http.accept().await {
                let mut stream = respond.send_response(Response::new(()), false).unwrap();
                stream.send_data("over 2".into(), true).unwrap();
            }
            return;
        }
        let mut stream = tokio::io::BufReader::new(stream);
        let head = crate::world::read_head(&mut stream).await;
        let answer = if head.contains("upgrade: websocket\r\n") {
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nover 1"
        } else {
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nover 1"
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
        let _ = stream.read(&mut [0]).await;
    })
    .await
}

#[tokio::test]
async fn grpc_goes_over_http_2_and_all_else_over_http_1_unless_it_is_said() {
    let app = both().await;
    let world = World::with(&[]);
    let over = async |protocol: Option<Protocol>, content: &str| {
        let plain = Service::serving("app", [app.upstream.clone()]);
        let service = Service {
            protocol: protocol.unwrap_or(plain.protocol),
            ..plain
        };
        world.handle.set_table(table("app", service));
        let ask = format!(
            "POST / HTTP/1.1\r\nHost: app\r\nContent-Type: {content}\r\nContent-Length: 0\r\n\r\n"
        );
        world.ask(&ask).await.body
    };
    let (grpc, json) = ("application/grpc+proto", "application/json");
    assert_eq!(over(None, grpc).await, "over 2");
    assert_eq!(over(None, json).await, "over 1");
    assert_eq!(over(None, "application/grpc-web").await, "over 1");
    assert_eq!(over(Some(Protocol::Http1), grpc).await, "over 1");
    assert_eq!(over(Some(Protocol::H2c), json).await, "over 2");
}

#[tokio::test]
async fn a_websocket_goes_over_http_1_to_an_upstream_that_takes_none_over_http_2() {
    let app = both().await;
    let world = World::with(&[]);
    route(&world, &app);
    let mut client = world.client().await;
    client.send(UPGRADE).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(client.read_text(6).await, "over 1");
    let plain = world.ask("GET / HTTP/1.1\r\nHost: app\r\n\r\n").await;
    assert_eq!(plain.body, "over 2");
}

#[tokio::test]
async fn an_upstream_that_takes_no_websocket_at_all_is_a_502_and_no_worse_for_it() {
    let app = app("grpc", |mut asked| async move { answer(&mut asked, "one") }).await;
    let world = World::with(&[]);
    route(&world, &app);
    for _ in 0..5 {
        let reply = world.ask(UPGRADE).await;
        assert_eq!(reply.status, 502, "{reply:?}");
        assert!(reply.body.contains("takes no WebSockets"), "{reply:?}");
    }
    let plain = world.ask("GET / HTTP/1.1\r\nHost: app\r\n\r\n").await;
    assert_eq!(plain.body, "one");
    assert_eq!(world.counts().ejections, 0);
}

#[tokio::test]
async fn trailers_pass_both_ways_and_te_with_them() {
    let app = app("grpc", |mut asked| async move {
        assert_eq!(asked.request.headers()["te"], "trailers");
        let body = asked.request.body_mut();
        while let Some(data) = body.data().await {
            let length = data.unwrap().len();
            body.flow_control().release_capacity(length).unwrap();
        }
        let sent = body.trailers().await.unwrap().unwrap();
        let mut answer = asked
            .respond
            .send_response(Response::new(()), false)
            .unwrap();
        answer.send_data("data".into(), false).unwrap();
        answer
            .send_trailers(trailers("grpc-status", sent["x-sum"].to_str().unwrap()))
            .unwrap();
    })
    .await;
    let world = World::with(&[]);
    route(&world, &app);
    let stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let mut sender = speak(stream).await;
    let frames = [
        Frame::data(Bytes::from("up")),
        Frame::trailers(trailers("x-sum", "7")),
    ];
    let body = StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>)));
    let request = Request::post("http://app/s/m")
        .header("te", "trailers")
        .body(body)
        .unwrap();
    let response = patiently("an answer", sender.send_request(request))
        .await
        .unwrap();
    let collected = patiently("its body", response.into_body().collect())
        .await
        .unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "7");
    assert_eq!(collected.to_bytes(), "data");
}

#[tokio::test]
async fn an_answer_that_is_trailers_only_ends_at_once() {
    let app = app("grpc", |mut asked| async move {
        let head = Response::builder()
            .header("grpc-status", "12")
            .body(())
            .unwrap();
        asked.respond.send_response(head, true).unwrap();
    })
    .await;
    let world = World::with(&[]);
    route(&world, &app);
    let mut sender = prior_knowledge(world.address).await;
    let response = sender.send_request(get("http://app/")).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "12");
    assert!(response.body().is_end_stream());
}

#[tokio::test]
async fn both_sides_stream_at_once() {
    let app = app("grpc", |mut asked| async move {
        let mut answer = asked
            .respond
            .send_response(Response::new(()), false)
            .unwrap();
        while let Some(data) = asked.request.body_mut().data().await {
            let data = data.unwrap();
            asked
                .request
                .body_mut()
                .flow_control()
                .release_capacity(data.len())
                .unwrap();
            answer.send_data(data, false).unwrap();
        }
        answer.send_trailers(trailers("grpc-status", "0")).unwrap();
    })
    .await;
    let world = World::with(&[]);
    route(&world, &app);
    let (send, sent) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let sent = stream::unfold(sent, |mut sent| async { Some((sent.recv().await?, sent)) });
    let stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let mut sender = speak(stream).await;
    let body = StreamBody::new(Box::pin(sent));
    let request = Request::post("http://app/").body(body).unwrap();
    let response = patiently("an answer", sender.send_request(request))
        .await
        .unwrap();
    let mut body = response.into_body();
    for word in ["ping", "pong", "last"] {
        send.send(Ok(Frame::data(word.into()))).await.unwrap();
        let echoed = patiently("an echo", body.frame()).await.unwrap().unwrap();
        assert_eq!(echoed.into_data().unwrap(), word);
    }
    drop(send);
    let end = patiently("the trailers", body.frame())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(end.into_trailers().unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn a_client_that_gives_up_is_told_to_the_upstream() {
    let (told, mut was_told) = mpsc::channel(4);
    let app = app("h2c", move |mut asked| {
        let told = told.clone();
        async move {
            let mut body = asked
                .respond
                .send_response(Response::new(()), false)
                .unwrap();
            let reason = futures_util::future::poll_fn(|cx| body.poll_reset(cx)).await;
            told.send(reason.unwrap()).await.unwrap();
        }
    })
    .await;
    let world = World::with(&[]);
    route(&world, &app);
    let mut sender = prior_knowledge(world.address).await;
    drop(sender.send_request(get("http://app/")).await.unwrap());
    assert_eq!(
        patiently("a reset", was_told.recv()).await,
        Some(Reason::CANCEL)
    );
    world.handle.set_table(mini_proxy::RouteTable::default());
    patiently("the drain", world.handle.wait_drained("h2c")).await;
}

/// An upstream that begins to answer, and resets the stream with this reason once the client has seen that.
async fn check_reset(by_upstream: Reason, seen: impl FnOnce(h2::Error)) {
    let (begun, has_begun) = watch::channel(false);
    let app = app("h2c", move |mut asked| {
        let mut has_begun = has_begun.clone();
        async move {
            let mut body = asked
                .respond
                .send_response(Response::new(()), false)
                .unwrap();
            body.send_data("begun".into(), false).unwrap();
            has_begun.wait_for(|begun| *begun).await.unwrap();
            body.send_reset(by_upstream);
        }
    })
    .await;
    let world = World::with(&[]);
    route(&world, &app);
    let stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://app/").body(()).unwrap();
    let (response, _) = client
        .ready()
        .await
        .unwrap()
        .send_request(request, true)
        .unwrap();
    let mut body = patiently("an answer", response).await.unwrap().into_body();
    assert_eq!(
        patiently("data", body.data()).await.unwrap().unwrap(),
        "begun"
    );
    // A client of HTTP/1 at the same time: it must not take what it has for the whole.
    let mut old = world.client().await;
    old.send("GET / HTTP/1.1\r\nHost: app\r\n\r\n").await;
    old.head().await;
    assert_eq!(old.chunk().await.as_deref(), Some("begun"));
    begun.send(true).unwrap();
    seen(
        patiently("the reset", body.data())
            .await
            .unwrap()
            .err()
            .unwrap(),
    );
    assert_eq!(old.rest().await, "");
}

#[tokio::test]
async fn an_answer_that_the_upstream_breaks_off_is_not_taken_for_whole() {
    check_reset(Reason::ENHANCE_YOUR_CALM, |error| {
        assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM));
    })
    .await;
    check_reset(Reason::CANCEL, |error| assert!(error.is_reset(), "{error}")).await;
}

#[tokio::test]
async fn an_upstream_may_answer_in_full_and_refuse_the_rest_of_the_upload() {
    // h2 resets with NO_ERROR what the app has not read, as Go's server does (RFC 9113 section 8.1).
    let app = app("h2c", |mut asked| async move {
        answer(&mut asked, "too much");
    })
    .await;
    let world = World::with(&[]);
    route(&world, &app);
    let (_send, sent) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let sent = stream::unfold(sent, |mut sent| async { Some((sent.recv().await?, sent)) });
    let stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let mut sender = speak(stream).await;
    let request = Request::post("http://app/")
        .body(StreamBody::new(Box::pin(sent)))
        .unwrap();
    let response = patiently("an answer", sender.send_request(request))
        .await
        .unwrap();
    let body = patiently("its body", response.into_body().collect())
        .await
        .unwrap();
    assert_eq!(body.to_bytes(), "too much");
}

#[tokio::test]
async fn what_an_upstream_refuses_unprocessed_is_sent_again() {
    let app = app("h2c", |mut asked| async move {
        if asked.number % 2 == 1 {
            asked.respond.send_reset(Reason::REFUSED_STREAM);
        } else if asked.request.method() == "PUT" {
            let data = asked.request.body_mut().data().await.unwrap().unwrap();
            answer(&mut asked, data);
        } else {
            let method = asked.request.method().clone();
            answer(&mut asked, method.as_str().to_owned());
        }
    })
    .await;
    let world = World::with(&[]);
    route(&world, &app);
    for method in ["GET", "GET", "POST", "DELETE"] {
        let request = format!("{method} / HTTP/1.1\r\nHost: app\r\nContent-Length: 0\r\n\r\n");
        let reply = world.ask(&request).await;
        assert_eq!((reply.status, &*reply.body), (200, method));
    }
    // A small body that was sent in full is sent again, one that is still under way is not.
    let put = "PUT / HTTP/1.1\r\nHost: app\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(world.ask(&format!("{put}PUT")).await.body, "PUT");
    assert_eq!(world.handle.counters().services["app"].retries, 4);
    assert_eq!(world.ask(put).await.status, 502);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_over_http_2_as_well() {
    let app = app("h2c", |mut asked| async move {
        while let Some(Ok(_)) = asked.request.body_mut().data().await {}
    })
    .await;
    let world = World::with(&[]);
    let service = Service {
        protocol: Protocol::H2c,
        policy: Arc::new(Policy {
            max_body_bytes: Some(3),
            ..Policy::default()
        }),
        ..Service::serving("app", [app.upstream.clone()])
    };
    world.handle.set_table(table("app", service));
    let chunked =
        "POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
    assert_eq!(world.ask(chunked).await.status, 413);
}

#[tokio::test]
async fn an_upstream_that_refuses_everything_is_left_for_another() {
    let refusing = app("full", |mut asked| async move {
        asked.respond.send_reset(Reason::REFUSED_STREAM);
    })
    .await;
    let ready = app(
        "ready",
        |mut asked| async move { answer(&mut asked, "ready") },
    )
    .await;
    let world = World::with(&[]);
    let service = Service {
        protocol: Protocol::H2c,
        ..Service::serving("app", [refusing.upstream.clone(), ready.upstream.clone()])
    };
    world.handle.set_table(table("app", service));
    for _ in 0..10 {
        let reply = world
            .ask("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 0\r\n\r\n")
            .await;
        assert_eq!((reply.status, &*reply.body), (200, "ready"));
    }
}

#[tokio::test]
async fn more_streams_than_one_connection_takes_get_another() {
    let open = Arc::new(AtomicUsize::new(0));
    let (told, mut was_told) = mpsc::channel(16);
    let app = limited("h2c", 2, move |mut asked| {
        let (open, told) = (Arc::clone(&open), told.clone());
        async move {
            let mut body = asked
                .respond
                .send_response(Response::new(()), false)
                .unwrap();
            open.fetch_add(1, Ordering::SeqCst);
            told.send(asked.connection).await.unwrap();
            let _ = futures_util::future::poll_fn(|cx| body.poll_reset(cx)).await;
        }
    })
    .await;
    let world = World::with(&[]);
    route(&world, &app);
    let mut clients = Vec::new();
    let mut connections = Vec::new();
    for _ in 0..5 {
        let mut client = world.client().await;
        client.send("GET / HTTP/1.1\r\nHost: app\r\n\r\n").await;
        connections.push(patiently("a stream", was_told.recv()).await.unwrap());
        clients.push(client);
    }
    assert_eq!(connections, [0, 0, 1, 1, 2]);
}

#[tokio::test]
async fn an_upstream_of_http_1_set_to_http_2_is_named_as_such() {
    let app = App::raw("h1", |mut stream, _| async move {
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let world = World::with(&[]);
    route(&world, &app);
    let reply = world
        .ask("GET / HTTP/1.1\r\nHost: app\r\nAccept: application/json\r\n\r\n")
        .await;
    assert_eq!(reply.status, 502, "{reply:?}");
    assert!(reply.body.contains("http_protocol_error"), "{reply:?}");
    let absent = App::absent("gone").await;
    route(&world, &absent);
    let reply = world
        .ask("GET / HTTP/1.1\r\nHost: app\r\nAccept: application/json\r\n\r\n")
        .await;
    assert!(reply.body.contains("connection_refused"), "{reply:?}");
}
