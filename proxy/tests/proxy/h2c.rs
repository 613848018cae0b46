//! Upstreams that are spoken to in HTTP/2, as gRPC servers are.

mod goodbyes;
mod hints;
mod refusals;
mod resets;
mod websockets;

use crate::http2::{get, prior_knowledge, speak};
use crate::world::{App, World, patiently, table};
use bytes::Bytes;
use futures_util::stream;
use h2::server::SendResponse;
use http::HeaderMap;
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{Request, Response};
use mini_proxy::{Protocol, Service};
use std::convert::Infallible;
use tokio::sync::mpsc;

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
