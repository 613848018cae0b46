//! Streams that break off, on either side.

use super::{answer, app, route};
use crate::http2::{get, prior_knowledge, speak};
use crate::world::{World, patiently};
use bytes::Bytes;
use futures_util::stream;
use h2::Reason;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{Request, Response};
use std::convert::Infallible;
use tokio::sync::{mpsc, watch};

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
    // That would tell the client that it has all of it.
    check_reset(Reason::NO_ERROR, |error| {
        assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
    })
    .await;
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
