//! Connections that an upstream ends, and what becomes of the requests on them.

use super::{answer, app, limited, route};
use crate::frames::{END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, SETTINGS, frame};
use crate::world::{App, World, patiently};
use hyper::Response;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

const POST: &str = "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 4\r\n\r\nbody";

/// Reads frames up to the next head of a request; answers its stream.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> u32 {
    loop {
        let mut start = [0; 9];
        stream.read_exact(&mut start).await.unwrap();
        let length = u32::from_be_bytes([0, start[0], start[1], start[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).await.unwrap();
        if start[3] == HEADERS {
            return u32::from_be_bytes([start[5], start[6], start[7], start[8]]);
        }
    }
}

/// An upstream that answers what it is asked, but the second request over its first connection with a GOAWAY of this code, which
/// says that the first was the last it has looked at. The head of its answers is `:status: 204`, the ninth of the static table
/// (RFC 7541 appendix A).
async fn leaving(code: u32) -> App {
    App::raw("h2c", move |mut stream, connection| async move {
        let mut preface = [0; PREFACE.len()];
        stream.read_exact(&mut preface).await.unwrap();
        let mut said = frame(SETTINGS, 0, 0, b"");
        loop {
            stream.write_all(&said).await.unwrap();
            let number = head(&mut stream).await;
            if connection == 0 && number > 1 {
                break;
            }
            said = frame(HEADERS, END_HEADERS | END_STREAM, number, &[0x89]);
        }
        let payload = [1_u32.to_be_bytes(), code.to_be_bytes()].concat();
        stream
            .write_all(&frame(GOAWAY, 0, 0, &payload))
            .await
            .unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await
}

#[tokio::test]
async fn a_request_that_crosses_a_goodbye_is_sent_again_over_another_connection() {
    let app = leaving(0).await;
    let world = World::with(&[]);
    route(&world, &app);
    for _ in 0..2 {
        assert_eq!(world.ask(POST).await.status, 204);
    }
    assert_eq!(app.connections(), 2);
    assert_eq!(world.handle.counters().services["app"].retries, 1);
}

#[tokio::test]
async fn one_that_may_have_been_acted_on_is_not() {
    // INTERNAL_ERROR (RFC 9113 section 7), which says nothing about what was done.
    let app = leaving(2).await;
    let world = World::with(&[]);
    route(&world, &app);
    assert_eq!(world.ask(POST).await.status, 204);
    assert_eq!(world.ask(POST).await.status, 502);
    assert_eq!(app.connections(), 1);
    // The next ones get a connection of their own.
    assert_eq!(world.ask(POST).await.status, 204);
}

#[tokio::test]
async fn what_is_under_way_is_finished_after_a_goodbye() {
    let (told, mut was_told) = mpsc::channel(4);
    let app = App::raw("h2c", move |stream, connection| {
        let told = told.clone();
        async move {
            let mut http = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((_, mut respond))) = http.accept().await {
                let mut body = respond.send_response(Response::new(()), false).unwrap();
                body.send_data("first ".into(), false).unwrap();
                if connection > 0 {
                    body.send_data("second".into(), true).unwrap();
                    continue;
                }
                http.graceful_shutdown();
                let told = told.clone();
                tokio::spawn(async move {
                    let (end, ended) = tokio::sync::oneshot::channel();
                    told.send(end).await.unwrap();
                    ended.await.unwrap();
                    body.send_data("last".into(), true).unwrap();
                });
            }
        }
    })
    .await;
    let world = World::with(&[]);
    route(&world, &app);
    let mut client = world.client().await;
    client.send("GET / HTTP/1.1\r\nHost: app\r\n\r\n").await;
    client.head().await;
    assert_eq!(client.chunk().await.as_deref(), Some("first "));
    let end = patiently("the goodbye", was_told.recv()).await.unwrap();
    // Others get along meanwhile, wherever they are when it comes.
    for _ in 0..10 {
        assert_eq!(
            world
                .ask("GET / HTTP/1.1\r\nHost: app\r\n\r\n")
                .await
                .status,
            200
        );
        if app.connections() > 1 {
            break;
        }
    }
    assert_eq!(app.connections(), 2);
    end.send(()).unwrap();
    assert_eq!(client.chunk().await.as_deref(), Some("last"));
    assert_eq!(client.chunk().await, None);
}

#[tokio::test]
async fn a_place_is_free_again_when_its_answer_has_ended() {
    let app = limited("h2c", 1, |mut asked| async move {
        let connection = asked.connection.to_string();
        answer(&mut asked, connection);
    })
    .await;
    let world = World::with(&[]);
    route(&world, &app);
    let mut client = world.client().await;
    for _ in 0..5 {
        assert_eq!(
            client.ask("GET / HTTP/1.1\r\nHost: app\r\n\r\n").await.body,
            "0"
        );
    }
}

#[tokio::test]
async fn who_takes_nothing_of_one_answer_holds_up_no_other() {
    let app = app("h2c", |mut asked| async move {
        let bytes = match asked.request.uri().path() {
            "/large" => 4 << 20,
            _ => 100 << 10,
        };
        answer(&mut asked, vec![b'x'; bytes]);
    })
    .await;
    let world = World::with(&[]);
    route(&world, &app);
    let mut slow = world.client().await;
    slow.send("GET /large HTTP/1.1\r\nHost: app\r\n\r\n").await;
    slow.head().await;
    let mut client = world.client().await;
    for _ in 0..20 {
        let reply = client.ask("GET / HTTP/1.1\r\nHost: app\r\n\r\n").await;
        assert_eq!(reply.bytes.len(), 100 << 10);
    }
    assert_eq!(app.connections(), 1);
    let mut bytes = 0;
    while let Some(chunk) = slow.chunk_bytes().await {
        bytes += chunk.len();
    }
    assert_eq!(bytes, 4 << 20);
}

#[tokio::test]
async fn a_long_upload_arrives_whole_whatever_the_window_of_its_upstream() {
    let app = app("h2c", |mut asked| async move {
        let mut count = 0_usize;
        let mut is_whole = true;
        while let Some(data) = asked.request.body_mut().data().await {
            let data = data.unwrap();
            is_whole &= data
                .iter()
                .enumerate()
                .all(|(at, byte)| usize::from(*byte) == usize::from(b'a') + (count + at) % 26);
            count += data.len();
            let flow = asked.request.body_mut().flow_control();
            flow.release_capacity(data.len()).unwrap();
        }
        answer(&mut asked, format!("{count} {is_whole}"));
    })
    .await;
    let world = World::with(&[]);
    route(&world, &app);
    let mut client = world.client().await;
    let length = 1 << 20;
    let body: String = ('a'..='z').cycle().take(length).collect();
    let head = format!("PUT / HTTP/1.1\r\nHost: app\r\nContent-Length: {length}\r\n\r\n");
    let reply = client.ask(&format!("{head}{body}")).await;
    assert_eq!(reply.body, format!("{length} true"));
}
