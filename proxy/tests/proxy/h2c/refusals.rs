//! Requests that an upstream has not looked at, and upstreams that take no more.

use super::{answer, app, limited, route};
use crate::world::{App, World, patiently, table};
use h2::Reason;
use hyper::Response;
use mini_proxy::{Policy, Protocol, Service};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

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
