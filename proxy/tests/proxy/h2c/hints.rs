//! What an upstream of HTTP/2 says before its answer reaches the client, of either HTTP.

use super::{answer, app, route};
use crate::world::{App, World, patiently};
use h2::client::SendRequest;
use hyper::{Request, Response, StatusCode};
use std::future::poll_fn;
use tokio::net::TcpStream;
use tokio::sync::watch;

const GET: &str = "GET / HTTP/1.1\r\nHost: app\r\n\r\n";
const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n";

fn early(status: u16) -> Response<()> {
    Response::builder()
        .status(status)
        .header("link", "</a.css>; rel=preload")
        .body(())
        .unwrap()
}

/// An app that gives hints, and answers when it is told that they have come.
async fn hinting() -> (App, watch::Sender<bool>) {
    let (come, has_come) = watch::channel(false);
    let app = app("h2c", move |mut asked| {
        let mut has_come = has_come.clone();
        async move {
            // What our client asks of us is for us to say.
            for status in [100, 103] {
                asked.respond.send_informational(early(status)).unwrap();
            }
            has_come.wait_for(|has_come| *has_come).await.unwrap();
            answer(&mut asked, "ok");
        }
    })
    .await;
    (app, come)
}

#[tokio::test]
async fn a_client_of_http_1_gets_them_while_the_answer_is_still_waited_for() {
    let (app, come) = hinting().await;
    let world = World::with(&[]);
    route(&world, &app);
    let mut client = world.client().await;
    client.send(GET).await;
    assert_eq!(client.head().await, HINTS);
    come.send(true).unwrap();
    assert_eq!(client.reply().await.body, "ok");
    client.send(GET).await;
    assert_eq!(client.head().await, HINTS);
    assert_eq!(client.reply().await.body, "ok");
    assert_eq!(app.connections(), 1);
    assert_eq!(world.counts().by_class, [0, 2, 0, 0, 0]);
}

async fn connect(world: &World) -> SendRequest<bytes::Bytes> {
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender.ready().await.unwrap()
}

#[tokio::test]
async fn a_client_of_http_2_gets_them_as_well() {
    let (app, come) = hinting().await;
    let world = World::with(&[]);
    route(&world, &app);
    let mut sender = connect(&world).await;
    let request = Request::get("http://app/").body(()).unwrap();
    let (mut response, _) = sender.send_request(request, true).unwrap();
    let interim = poll_fn(|cx| response.poll_informational(cx));
    let interim = patiently("hints", interim).await.unwrap().unwrap();
    assert_eq!(interim.status(), StatusCode::EARLY_HINTS);
    assert_eq!(interim.headers()["link"], "</a.css>; rel=preload");
    come.send(true).unwrap();
    assert_eq!(
        patiently("an answer", response).await.unwrap().status(),
        200
    );
}

#[tokio::test]
async fn a_client_that_waits_for_100_gets_both() {
    let app = app("h2c", |mut asked| async move {
        asked.respond.send_informational(early(103)).unwrap();
        let data = asked.request.body_mut().data().await.unwrap().unwrap();
        answer(&mut asked, data);
    })
    .await;
    let world = World::with(&[]);
    route(&world, &app);
    let mut client = world.client().await;
    let head = "POST / HTTP/1.1\r\nHost: app\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    client.send(head).await;
    let mut heads = [client.head().await, client.head().await];
    heads.sort();
    assert_eq!(heads, ["HTTP/1.1 100 Continue\r\n", HINTS]);
    assert_eq!(client.ask("body").await.body, "body");
}

#[tokio::test]
async fn more_than_anybody_needs_are_left_out() {
    let app = app("h2c", |mut asked| async move {
        for _ in 0..100 {
            asked.respond.send_informational(early(103)).unwrap();
        }
        answer(&mut asked, "ok");
    })
    .await;
    let world = World::with(&[]);
    route(&world, &app);
    let mut client = world.client().await;
    for _ in 0..2 {
        client.send(GET).await;
        let mut count = 0;
        let head = loop {
            let head = client.head().await;
            if head != HINTS {
                break head;
            }
            count += 1;
        };
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(count, 16);
        while client.chunk().await.is_some() {}
        assert_eq!(client.head().await, "");
    }
}

#[tokio::test]
async fn another_protocol_is_not_to_be_had_over_http_2() {
    let app = app("h2c", |mut asked| async move {
        asked.respond.send_informational(early(101)).unwrap();
        answer(&mut asked, "ok");
    })
    .await;
    let world = World::with(&[]);
    route(&world, &app);
    assert_eq!(world.ask(GET).await.status, 502);
}
