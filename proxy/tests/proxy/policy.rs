//! What a service's own policy asks for: times, sizes.

use crate::world::{App, GET, Reply, World, patiently, read_head, settings, table};
use mini_proxy::{Policy, Service};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};

/// A world in which host `app` is served by an app under a policy.
pub(crate) fn world_with(policy: Policy, app: &App) -> World {
    let world = World::start(settings(1));
    set(&world, policy, app);
    world
}

pub(crate) fn set(world: &World, policy: Policy, app: &App) {
    let service = Service {
        policy: Arc::new(policy),
        ..Service::serving("app", [app.upstream.clone()])
    };
    world.handle.set_table(table("app", service));
}

fn check(reply: &Reply, status: u16, what: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert!(reply.body.contains(what), "{what:?} in {}", reply.body);
}

#[tokio::test]
async fn a_service_has_its_own_patience() {
    let silent = App::raw("silent", |mut stream, _| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    // The proxy itself would wait for a minute, which this test does not.
    let policy = Policy {
        first_byte_timeout: Some(Duration::from_millis(20)),
        ..Policy::default()
    };
    let world = world_with(policy, &silent);
    check(&world.ask(GET).await, 504, "took too long to answer");
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_and_one_at_it_passes() {
    let app = App::http("one", |request| async move {
        let body = http_body_util::BodyExt::collect(request.into_body()).await;
        let length = body.map_or(0, |body| body.to_bytes().len());
        hyper::Response::new(length.to_string().into())
    })
    .await;
    let policy = Policy {
        max_body_bytes: Some(5),
        ..Policy::default()
    };
    let world = world_with(policy, &app);
    let sized = |body: &str| {
        let head = "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: ";
        format!("{head}{}\r\n\r\n{body}", body.len())
    };
    assert_eq!(world.ask(&sized("12345")).await.body, "5");
    check(&world.ask(&sized("123456")).await, 413, "is too large");
    let chunked = "POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n";
    let within = format!("{chunked}3\r\n123\r\n2\r\n45\r\n0\r\n\r\n");
    assert_eq!(world.ask(&within).await.body, "5");
    let beyond = format!("{chunked}3\r\n123\r\n3\r\n456\r\n0\r\n\r\n");
    check(&world.ask(&beyond).await, 413, "is too large");
    assert_eq!(world.ask(GET).await.body, "0");

    // Without a limit in the next table, at once.
    set(&world, Policy::default(), &app);
    assert_eq!(world.ask(&sized("123456")).await.body, "6");
}

#[tokio::test]
async fn a_client_that_asks_first_is_refused_before_it_sends() {
    let app = App::named("one").await;
    let policy = Policy {
        max_body_bytes: Some(5),
        ..Policy::default()
    };
    let world = world_with(policy, &app);
    let mut client = world.client().await;
    let head = "PUT / HTTP/1.1\r\nHost: app\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n";
    check(&client.ask(head).await, 413, "is too large");
    assert_eq!(app.connections(), 0);
}

#[tokio::test]
async fn an_answer_that_falls_silent_is_broken_off_and_a_slow_one_is_not() {
    let app = App::raw("one", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        let head = read_head(&mut stream).await;
        let first = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
        let rest = if head.starts_with("GET /ends") {
            "4\r\nlast\r\n0\r\n\r\n"
        } else {
            ""
        };
        let _ = stream.write_all(format!("{first}{rest}").as_bytes()).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let policy = Policy {
        idle_timeout: Some(Duration::from_millis(20)),
        ..Policy::default()
    };
    let world = world_with(policy, &app);
    let mut client = world.client().await;
    client.send(GET).await;
    let all = client.rest().await;
    assert!(all.ends_with("5\r\nfirst\r\n"), "{all}");
    let whole = world.ask("GET /ends HTTP/1.1\r\nHost: app\r\n\r\n").await;
    assert_eq!(whole.body, "firstlast");
    world.handle.set_table(mini_proxy::RouteTable::default());
    patiently("the drain", world.handle.wait_drained("one")).await;
}
