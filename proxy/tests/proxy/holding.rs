//! Requests that wait: while their service is paused, or has lost its last upstream.

use crate::world::{App, Client, GET, World, patiently, read_head, settings, table};
use mini_proxy::{ProxySettings, Service, Upstream};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};

const POST: &str = "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello";

/// Has requests for host `app` wait for so long.
fn pause(world: &World, upstreams: &[&Upstream], length: Duration) {
    let upstreams: Vec<Upstream> = upstreams.iter().copied().cloned().collect();
    let service = Service {
        paused_until: Some(SystemTime::now() + length),
        ..Service::serving("app", upstreams)
    };
    world.handle.set_table(table("app", service));
}

const LONG: Duration = Duration::from_secs(3_600);

/// Waits until so many requests wait.
async fn until_waiting(world: &World, count: usize) {
    let reached = async {
        while world.counts().waiting != count {
            tokio::task::yield_now().await;
        }
    };
    patiently("requests to wait", reached).await;
}

async fn asking(world: &World, count: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for number in 0..count {
        let mut client = world.client().await;
        client.send(if number % 2 == 0 { GET } else { POST }).await;
        clients.push(client);
    }
    until_waiting(world, count).await;
    clients
}

#[tokio::test]
async fn fifty_requests_wait_while_it_is_paused_and_are_answered_when_it_goes_on() {
    let app = App::named("app").await;
    let world = World::with_settings(settings(2), &[&app]);
    pause(&world, &[&app.upstream], LONG);
    let clients = asking(&world, 50).await;
    assert_eq!(app.connections(), 0);
    world.route(&[&app]);
    for mut client in clients {
        assert_eq!(client.reply().await.body, "app");
    }
    let counts = world.counts();
    assert_eq!((counts.held, counts.waiting), (50, 0), "{counts:?}");
    assert_eq!(counts.by_class, [0, 50, 0, 0, 0]);
}

#[tokio::test]
async fn a_pause_ends_by_itself() {
    let app = App::named("app").await;
    let world = World::with(&[&app]);
    pause(&world, &[&app.upstream], Duration::from_millis(50));
    assert_eq!(world.ask(GET).await.body, "app");
}

#[tokio::test]
async fn a_client_that_leaves_waits_no_more() {
    let app = App::named("app").await;
    let world = World::with(&[&app]);
    pause(&world, &[&app.upstream], LONG);
    let mut clients = asking(&world, 3).await;
    clients.remove(0).leave();
    until_waiting(&world, 2).await;
    world.route(&[&app]);
    for mut client in clients {
        assert_eq!(client.reply().await.status, 200);
    }
}

#[tokio::test]
async fn who_waits_too_long_or_is_one_too_many_is_told_when_to_come_again() {
    let app = App::named("app").await;
    let settings = ProxySettings {
        max_waiting: 2,
        ..settings(1)
    };
    let world = World::with_settings(settings, &[&app]);
    pause(&world, &[&app.upstream], LONG);
    let clients = asking(&world, 2).await;
    let reply = world.ask(GET).await;
    assert_eq!(
        (reply.status, reply.header("retry-after")),
        (503, Some("5")),
        "{reply:?}"
    );
    assert!(reply.body.contains("do so already"), "{reply:?}");
    drop(clients);

    let settings = ProxySettings {
        pause_wait: Duration::from_millis(10),
        ..crate::world::settings(1)
    };
    let world = World::with_settings(settings, &[]);
    pause(&world, &[&app.upstream], LONG);
    let reply = world.ask(GET).await;
    assert_eq!(
        (reply.status, reply.header("retry-after")),
        (503, Some("5")),
        "{reply:?}"
    );
    assert!(reply.body.contains("This app is paused"), "{reply:?}");
}

#[tokio::test]
async fn an_upgraded_connection_goes_on_while_its_service_is_paused() {
    let app = App::raw("app", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        read_head(&mut stream).await;
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut buffer = [0; 64];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            stream.write_all(&buffer[..read]).await.unwrap();
        }
    })
    .await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    let upgrade =
        "GET / HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    client.send(upgrade).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101"));
    pause(&world, &[&app.upstream], LONG);
    let waiting = asking(&world, 1).await;
    client.send("still here").await;
    assert_eq!(client.read_text(10).await, "still here");
    drop(waiting);
}

#[tokio::test]
async fn requests_for_a_service_without_upstream_wait_for_the_next() {
    let app = App::named("app").await;
    let settings = ProxySettings {
        restart_wait: LONG,
        ..settings(2)
    };
    let world = World::with_settings(settings, &[]);
    let clients = asking(&world, 10).await;
    world.route(&[&app]);
    for mut client in clients {
        assert_eq!(client.reply().await.body, "app");
    }
}

#[tokio::test]
async fn the_only_upstream_dies_and_requests_wait_for_its_successor() {
    let app = App::named("first").await;
    let settings = ProxySettings {
        restart_wait: LONG,
        ..settings(1)
    };
    let world = World::with_settings(settings, &[&app]);
    assert_eq!(world.ask(GET).await.body, "first");
    app.kill().await;
    // The table does not know yet; the connection is refused.
    let mut clients = asking(&world, 2).await;
    world.route(&[]);
    clients.extend({
        let mut client = world.client().await;
        client.send(GET).await;
        until_waiting(&world, 3).await;
        [client]
    });
    let next = App::named("second").await;
    world.route(&[&next]);
    for mut client in clients {
        assert_eq!(client.reply().await.body, "second");
    }
    assert_eq!(world.ask(GET).await.body, "second");
}

#[tokio::test]
async fn a_service_that_stays_down_is_told_of_at_once_after_a_while() {
    let settings = ProxySettings {
        restart_wait: Duration::from_millis(20),
        ..settings(1)
    };
    let world = World::with_settings(settings, &[]);
    for _ in 0..20 {
        let reply = world.ask(GET).await;
        assert_eq!(
            (reply.status, reply.header("retry-after")),
            (503, Some("5"))
        );
    }
    // Only the first had anything to wait for, or those that came while it did.
    let before = world.counts().held;
    for _ in 0..20 {
        assert_eq!(world.ask(GET).await.status, 503);
    }
    assert_eq!(world.counts().held, before);
}
