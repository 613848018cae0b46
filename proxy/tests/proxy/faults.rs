//! When there is no answer to pass on: retries where they are safe, and pages that say what happened.

use crate::world::{
    App, Client, GET, Reply, World, patiently, read_head, service_in, settings, table,
};
use mini_proxy::{ProxySettings, ServiceState};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

const POST: &str = "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello";

fn check_page(reply: &Reply, status: u16, error: &str, what: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(
        reply.header("proxy-status"),
        Some(format!("mini; error={error}").as_str())
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(reply.body.contains(what), "{what:?} in {}", reply.body);
}

#[tokio::test]
async fn an_unknown_host_gets_a_404_page_in_the_form_asked_for() {
    let world = World::start(settings(1));
    let request =
        |accept: &str| format!("GET / HTTP/1.1\r\nHost: nobody\r\nAccept: {accept}\r\n\r\n");
    let html = world.ask(&request("text/html,*/*")).await;
    check_page(
        &html,
        404,
        "destination_not_found",
        "<h1>No app lives at this address</h1>",
    );
    assert_eq!(
        html.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let json = world.ask(&request("application/json")).await;
    check_page(
        &json,
        404,
        "destination_not_found",
        "\"what\":\"No app lives at this address\"",
    );
    let text = world.ask(&request("*/*")).await;
    check_page(
        &text,
        404,
        "destination_not_found",
        "error: No app lives at this address\n",
    );
    assert_eq!(world.handle.counters().unrouted.by_class, [0, 0, 0, 3, 0]);
}

/// That there is no upstream is told at once.
fn not_waiting() -> ProxySettings {
    ProxySettings {
        restart_wait: Duration::ZERO,
        ..settings(1)
    }
}

#[tokio::test]
async fn an_app_that_does_not_serve_says_why() {
    let world = World::start(not_waiting());
    let mut client = world.client().await;
    let mut ask = async |state| {
        world.handle.set_table(table("app", service_in(state)));
        client.ask(GET).await
    };
    let unavailable = "destination_unavailable";
    check_page(
        &ask(ServiceState::NotDeployed).await,
        502,
        unavailable,
        "Nothing has been deployed",
    );
    check_page(
        &ask(ServiceState::Stopped).await,
        503,
        unavailable,
        "This app is stopped",
    );
    check_page(
        &ask(ServiceState::Serving).await,
        503,
        unavailable,
        "not running right now",
    );
}

#[tokio::test]
async fn an_upstream_that_refuses_is_passed_over_and_only_if_all_do_it_is_a_502() {
    let (dead, live) = (App::absent("dead").await, App::named("live").await);
    let world = World::with_settings(not_waiting(), &[&dead, &live]);
    for request in [GET, POST].repeat(10) {
        assert_eq!(world.ask(request).await.body, "live");
    }
    let also_dead = App::absent("also dead").await;
    world.route(&[&dead, &also_dead]);
    check_page(
        &world.ask(GET).await,
        502,
        "connection_refused",
        "does not accept connections",
    );
}

/// An app whose first connection is closed after one answer; it says when. Later ones answer `again`.
async fn dying() -> (App, mpsc::Receiver<()>) {
    let (closed, has_closed) = mpsc::channel(1);
    let app = App::raw("dying", move |stream, number| {
        let closed = closed.clone();
        async move {
            let mut stream = BufReader::new(stream);
            answer(&mut stream, if number == 0 { "first" } else { "again" }).await;
            if number == 0 {
                drop(stream);
                closed.send(()).await.unwrap();
            } else {
                answer(&mut stream, "again").await;
            }
        }
    })
    .await;
    (app, has_closed)
}

async fn answer(stream: &mut BufReader<TcpStream>, body: &str) {
    read_head(stream).await;
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}

#[tokio::test]
async fn a_kept_connection_that_died_costs_no_request_of_any_method() {
    for request in [GET, POST] {
        let (app, mut has_closed) = dying().await;
        let world = World::with(&[&app]);
        let mut client = world.client().await;
        assert_eq!(client.ask(GET).await.body, "first");
        patiently("the close", has_closed.recv()).await.unwrap();
        assert_eq!(client.ask(request).await.body, "again", "{request}");
    }
}

#[tokio::test]
async fn a_safe_request_lost_with_its_kept_connection_is_sent_again() {
    let app = App::raw("dying", |stream, number| async move {
        let mut stream = BufReader::new(stream);
        answer(&mut stream, "answered").await;
        if number == 0 {
            // Takes the second request and closes without a word.
            read_head(&mut stream).await;
        } else {
            answer(&mut stream, "answered").await;
        }
    })
    .await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    assert_eq!(client.ask(GET).await.status, 200);
    assert_eq!(client.ask(GET).await.status, 200);
    assert_eq!(app.connections(), 2);
    assert_eq!(world.handle.counters().services["app"].retries, 1);
}

#[tokio::test]
async fn a_request_that_may_have_been_processed_is_not_sent_again() {
    let app = App::raw("dying", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        answer(&mut stream, "answered").await;
        read_head(&mut stream).await;
    })
    .await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    assert_eq!(client.ask(GET).await.status, 200);
    check_page(
        &client.ask(POST).await,
        502,
        "connection_terminated",
        "This app broke off",
    );
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn an_app_that_closes_or_speaks_something_else_is_a_502() {
    let closing = App::raw("closing", |stream, _| async move {
        read_head(&mut BufReader::new(stream)).await;
    })
    .await;
    let world = World::with(&[&closing]);
    check_page(
        &world.ask(GET).await,
        502,
        "connection_terminated",
        "This app broke off",
    );
    let garbled = App::raw("garbled", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        read_head(&mut stream).await;
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n\r\n").await;
    })
    .await;
    world.route(&[&garbled]);
    check_page(
        &world.ask(GET).await,
        502,
        "http_protocol_error",
        "cannot be understood",
    );
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_for_the_client_too() {
    let app = App::raw("breaking", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        read_head(&mut stream).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            .await;
    })
    .await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client.send(GET).await;
    let all = client.rest().await;
    assert!(all.ends_with("\r\n\r\nhalf"), "{all}");
}

/// An app that takes connections and never says anything.
async fn silent() -> App {
    App::raw("silent", |mut stream, _| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await
}

fn impatient() -> ProxySettings {
    ProxySettings {
        first_byte_timeout: Duration::from_millis(20),
        ..settings(1)
    }
}

#[tokio::test]
async fn an_app_that_stays_silent_is_a_504() {
    let app = silent().await;
    let world = World::with_settings(impatient(), &[&app]);
    check_page(
        &world.ask(GET).await,
        504,
        "http_response_timeout",
        "took too long",
    );
    check_page(
        &world.ask(POST).await,
        504,
        "http_response_timeout",
        "took too long",
    );
    world.route(&[]);
    patiently("the drain", world.handle.wait_drained("silent")).await;
}

#[tokio::test]
async fn a_client_that_stops_sending_is_told_so_and_the_app_is_not_blamed() {
    let app = silent().await;
    let world = World::with_settings(impatient(), &[&app]);
    let mut client: Client = world.client().await;
    let reply = client
        .ask("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhel")
        .await;
    check_page(&reply, 408, "http_request_error", "did not arrive in full");
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_client_that_never_finishes_its_head_is_told_so_and_closed() {
    let settings = ProxySettings {
        header_read_timeout: Duration::from_millis(20),
        ..settings(1)
    };
    let world = World::start(settings);
    let mut client = world.client().await;
    client.send("GET / HTTP/1.1\r\nHost:").await;
    let reply = client.reply().await;
    assert_eq!(reply.status, 408);
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(client.rest().await, "");
    assert_eq!(world.handle.counters().unrouted.by_class[3], 1);
    // Who has begun nothing is closed without a word.
    assert_eq!(world.client().await.rest().await, "");
}
