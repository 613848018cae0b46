//! Clients that send or take so slowly that others would pay for it.

use crate::secure::{Caller, SecureWorld, certificate};
use crate::world::{App, World, patiently, read_head, settings};
use mini_proxy::{Policy, ProxySettings, Service};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};

const MOMENT: Duration = Duration::from_millis(20);
const HEAD: &str = "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\n";

/// Host `app`, to which bodies must come at this rate.
fn set(world: &World, app: &App, min_upload_rate: Option<NonZeroU64>) {
    let policy = Arc::new(Policy {
        min_upload_rate,
        ..Policy::default()
    });
    let service = Service::serving("app", [app.upstream.clone()]);
    let table = crate::world::table("app", Service { policy, ..service });
    world.handle.set_table(table);
}

/// Hardly any delay is forgiven.
fn strict() -> ProxySettings {
    ProxySettings {
        upload_grace: MOMENT,
        ..settings(1)
    }
}

/// An app that answers with what it was sent; asked for `/early`, it begins its answer before it reads.
async fn echo() -> App {
    App::raw("echo", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        loop {
            let head = read_head(&mut stream).await;
            if head.is_empty() {
                return;
            }
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
            let is_early = head.starts_with("POST /early");
            if is_early && stream.write_all(answer).await.is_err() {
                return;
            }
            let mut body = [0; 5];
            if stream.read_exact(&mut body).await.is_err() {
                return;
            }
            if !is_early && stream.write_all(answer).await.is_err() {
                return;
            }
            let _ = stream.write_all(&body).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_a_408_and_ends_its_connection() {
    let app = echo().await;
    let world = World::start(strict());
    set(&world, &app, NonZeroU64::new(1_000_000));
    let mut client = world.client().await;
    client.send(&format!("{HEAD}hel")).await;
    let reply = client.reply().await;
    assert_eq!(reply.status, 408, "{reply:?}");
    assert!(reply.body.contains("more slowly than this app accepts"));
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(client.rest().await, "");
    // One that comes at once is late for nothing.
    assert_eq!(world.ask(&format!("{HEAD}hello")).await.body, "hello");
    world.handle.set_table(mini_proxy::RouteTable::default());
    patiently("the drain", world.handle.wait_drained("echo")).await;
}

#[tokio::test]
async fn a_body_may_take_its_time_without_a_rate_and_once_the_answer_has_begun() {
    let app = echo().await;
    let world = World::start(strict());
    set(&world, &app, None);
    let mut unhurried = world.client().await;
    unhurried.send(&format!("{HEAD}hel")).await;
    // The table is swapped once this request has been sent on, as the app has seen.
    while app.connections() < 1 {
        tokio::task::yield_now().await;
    }
    set(&world, &app, NonZeroU64::new(1_000_000));
    let mut answered = world.client().await;
    let early = HEAD.replace("POST /", "POST /early");
    answered.send(&format!("{early}hel")).await;
    assert!(answered.head().await.starts_with("HTTP/1.1 200"));
    // By the time a third is cut off, both have been late for longer.
    let cut = world.ask(&format!("{HEAD}hel")).await;
    assert_eq!(cut.status, 408);
    answered.send("lo").await;
    assert_eq!(answered.read_text(5).await, "hello");
    unhurried.send("lo").await;
    assert_eq!(unhurried.reply().await.body, "hello");
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_cut_off_and_its_upstream_let_go() {
    // More than the buffers of two sockets hold.
    const LENGTH: usize = 64 << 20;
    let app = App::raw("large", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        read_head(&mut stream).await;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(&vec![0; LENGTH]).await;
    })
    .await;
    let settings = ProxySettings {
        write_timeout: MOMENT,
        ..settings(1)
    };
    let world = World::with_settings(settings, &[&app]);
    let mut client = world.client().await;
    client.send("GET / HTTP/1.1\r\nHost: app\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200"));
    world.route(&[]);
    patiently("the drain", world.handle.wait_drained("large")).await;
    let mut rest = Vec::new();
    let _ = patiently("the end", client.stream.read_to_end(&mut rest)).await;
    assert!(rest.len() < LENGTH);
}

#[tokio::test]
async fn whoever_has_the_answer_and_sends_nothing_more_of_the_body_is_not_waited_for() {
    let app = App::raw("deaf", |mut stream, _| async move {
        let mut reader = BufReader::new(&mut stream);
        read_head(&mut reader).await;
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone";
        let _ = stream.write_all(answer).await;
        // It never reads the body, and leaves its end open for as long as the proxy does.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let world = World::start(strict());
    set(&world, &app, None);
    let mut client = world.client().await;
    client.send(&format!("{HEAD}he")).await;
    assert_eq!(client.reply().await.body, "none");
    assert_eq!(client.rest().await, "", "closed");
    world.route(&[]);
    let drained = world.handle.wait_drained("deaf");
    patiently("the upstream to be let go", drained).await;
}

#[tokio::test]
async fn an_answer_in_pieces_reaches_a_slow_reader_over_tls_to_its_end() {
    const PIECES: usize = 1000;
    const PIECE: &[u8] = &[b'x'; 20_000];
    let app = App::raw("pieces", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        read_head(&mut stream).await;
        let length = PIECES * PIECE.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        let _ = stream.write_all(head.as_bytes()).await;
        for _ in 0..PIECES {
            // Each in its own turn, so that some come while the one before waits for the reader.
            let _ = stream.write_all(PIECE).await;
            tokio::task::yield_now().await;
        }
    })
    .await;
    let shown = certificate(&["app.test"]);
    let world = SecureWorld::with(&app, &["app.test"], &[&shown]);
    let caller = Caller::trusting(&[&shown]);
    let mut client = world.client(&caller, "app.test").await.unwrap();
    client
        .send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        .await;
    client.head().await;
    for _ in 0..PIECES * PIECE.len() / 1000 {
        client.read_text(1000).await;
    }
}
