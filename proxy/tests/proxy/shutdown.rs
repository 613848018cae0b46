//! Stopping: what is in flight finishes, what is idle closes, what lasts too long is cut.

use crate::world::{App, Client, GET, World, patiently, read_head, settings, table};
use mini_proxy::{Listeners, Proxy, RouteTable, Service};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};

#[tokio::test]
async fn requests_in_flight_finish_and_idle_connections_close() {
    let (asked, mut was_asked) = mpsc::channel(1);
    let (finish, may_finish) = watch::channel(false);
    let app = App::raw("slow", move |stream, _| {
        let (asked, mut may_finish) = (asked.clone(), may_finish.clone());
        async move {
            let mut stream = BufReader::new(stream);
            read_head(&mut stream).await;
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
            stream.write_all(head.as_bytes()).await.unwrap();
            asked.send(()).await.unwrap();
            may_finish.wait_for(|may| *may).await.unwrap();
            stream.write_all(b" full").await.unwrap();
        }
    })
    .await;
    let world = World::with_settings(settings(2), &[&app]);
    let mut idle = world.client().await;
    idle.ask("GET / HTTP/1.1\r\nHost: nobody\r\n\r\n").await;
    let mut busy = world.client().await;
    busy.send(GET).await;
    patiently("the request", was_asked.recv()).await;

    let handle = world.handle.clone();
    let stopping = tokio::spawn(world.proxy.shutdown(Duration::from_secs(60)));
    assert_eq!(idle.rest().await, "");
    assert!(!stopping.is_finished(), "a request is in flight");
    finish.send(true).unwrap();
    let reply = busy.reply().await;
    assert_eq!(reply.body, "half full");
    patiently("the end", stopping).await.unwrap();
    assert_eq!(busy.rest().await, "");
    assert!(TcpStream::connect(world.address).await.is_err());
    assert_eq!(handle.counters().open_connections, 0);
}

#[tokio::test]
async fn what_outlasts_the_drain_time_is_cut() {
    let app = App::raw("silent", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        while !read_head(&mut stream).await.is_empty() {}
    })
    .await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client.send(GET).await;
    while world.handle.in_flight("silent") == 0 {
        tokio::task::yield_now().await;
    }
    patiently("the end", world.proxy.shutdown(Duration::from_millis(10))).await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn who_has_just_connected_gets_an_answer_and_who_says_nothing_keeps_nobody() {
    let app = App::named("one").await;
    let world = World::with(&[&app]);
    let mut idle = world.client().await;
    assert_eq!(idle.ask(GET).await.body, "one");
    let (mut new, mut silent) = (world.client().await, world.client().await);
    while world.handle.counters().accepted_connections < 3 {
        tokio::task::yield_now().await;
    }
    let stopping = tokio::spawn(world.proxy.shutdown(Duration::from_secs(60)));
    // From here on the thread knows.
    assert_eq!(idle.rest().await, "");
    let reply = new.ask(GET).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "one"));
    assert_eq!(silent.rest().await, "");
    patiently("the end", stopping).await.unwrap();
}

#[tokio::test]
async fn everybody_in_a_long_queue_is_answered_before_the_end() {
    let listeners = Listeners::bind(([127, 0, 0, 1], 0).into(), 1).unwrap();
    let address = listeners.local_address();
    // Without a table it does not accept: they all wait.
    let proxy = Proxy::start(vec![listeners], settings(1)).unwrap();
    let mut waiting = Vec::new();
    for _ in 0..400 {
        let mut client = Client::connect(address).await;
        client.send(GET).await;
        waiting.push(client);
    }
    let stopping = tokio::spawn(proxy.shutdown(Duration::from_secs(60)));
    for mut client in waiting {
        assert_eq!(client.reply().await.status, 404);
    }
    patiently("the end", stopping).await.unwrap();
}

#[tokio::test]
async fn a_long_request_keeps_nobody_waiting_where_the_socket_stays_open() {
    let (asked, mut was_asked) = mpsc::channel(1);
    let (finish, may_finish) = watch::channel(false);
    let slow = App::raw("slow", move |stream, _| {
        let (asked, mut may_finish) = (asked.clone(), may_finish.clone());
        async move {
            let mut stream = BufReader::new(stream);
            read_head(&mut stream).await;
            asked.send(()).await.unwrap();
            may_finish.wait_for(|may| *may).await.unwrap();
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let (before, after) = (App::named("before").await, App::named("after").await);
    // As systemd has it: one that listens for whoever is started for it.
    let systemd = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = systemd.local_addr().unwrap();
    let start = |apps: &[(&str, &App)]| {
        let passed = systemd.try_clone().unwrap();
        let listeners = Listeners::from_inherited(passed, 1).unwrap();
        let proxy = Proxy::start(vec![listeners], settings(1)).unwrap();
        let mut table = RouteTable::default();
        for (host, app) in apps {
            let service = Service::serving(*host, [app.upstream.clone()]);
            table.insert(host.parse().unwrap(), Arc::new(service));
        }
        proxy.handle().set_table(table);
        proxy
    };
    let get = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let proxy = start(&[("slow", &slow), ("app", &before)]);
    let (mut idle, mut busy) = (
        Client::connect(address).await,
        Client::connect(address).await,
    );
    assert_eq!(idle.ask(GET).await.body, "before");
    busy.send(&get("slow")).await;
    patiently("the request", was_asked.recv()).await;
    let stopping = tokio::spawn(proxy.shutdown(Duration::from_secs(60)));
    // From here on it knows that it is to stop.
    assert_eq!(idle.rest().await, "");

    let mut meanwhile = Client::connect(address).await;
    let reply = meanwhile.ask(GET).await;
    assert_eq!(reply.body, "before");
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(!stopping.is_finished(), "a request is in flight");
    finish.send(true).unwrap();
    assert_eq!(busy.reply().await.body, "slow");
    patiently("the end", stopping).await.unwrap();

    // Nobody serves: who comes waits for the next.
    let mut waiting = Client::connect(address).await;
    waiting.send(GET).await;
    let proxy = start(&[("app", &after)]);
    assert_eq!(waiting.reply().await.body, "after");
    patiently("the other end", proxy.shutdown(Duration::ZERO)).await;
}

#[tokio::test]
async fn who_comes_is_answered_until_all_else_has_ended_where_the_socket_stays_open() {
    let app = App::named("app").await;
    let systemd = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = systemd.local_addr().unwrap();
    let listeners = Listeners::from_inherited(systemd.try_clone().unwrap(), 2).unwrap();
    let proxy = Proxy::start(vec![listeners], settings(2)).unwrap();
    let service = Service::serving("app", [app.upstream.clone()]);
    proxy.handle().set_table(table("app", service));
    let (done, is_done) = oneshot::channel::<()>();
    let others = async { is_done.await.unwrap() };
    let stopping = tokio::spawn(async move {
        let drain = Duration::from_secs(60);
        proxy.shutdown_beside(drain, others).await;
    });
    // Until both threads have heard of it, and some more.
    let mut last_ones = 0;
    while last_ones < 50 {
        let reply = Client::connect(address).await.ask(GET).await;
        assert_eq!(reply.body, "app");
        last_ones += usize::from(reply.header("connection") == Some("close"));
    }
    assert!(!stopping.is_finished(), "others go on");
    done.send(()).unwrap();
    patiently("the end", stopping).await.unwrap();
}

#[tokio::test]
async fn the_queue_of_a_socket_that_stays_open_is_left_to_the_next() {
    let app = App::named("next").await;
    let systemd = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let start = || {
        let passed = systemd.try_clone().unwrap();
        let listeners = Listeners::from_inherited(passed, 2).unwrap();
        Proxy::start(vec![listeners], settings(2)).unwrap()
    };
    let mut waiting = Client::connect(systemd.local_addr().unwrap()).await;
    waiting.send(GET).await;
    // It is stopped before it knows of any app.
    patiently("the end", start().shutdown(Duration::from_secs(60))).await;
    let proxy = start();
    let service = Service::serving("app", [app.upstream.clone()]);
    proxy.handle().set_table(table("app", service));
    assert_eq!(waiting.reply().await.body, "next");
    patiently("the other end", proxy.shutdown(Duration::ZERO)).await;
}

#[tokio::test]
async fn a_proxy_that_is_dropped_stops() {
    let app = App::named("one").await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    assert_eq!(client.ask(GET).await.body, "one");
    drop(world.proxy);
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn connections_made_before_the_start_are_served() {
    let listeners = Listeners::bind(([127, 0, 0, 1], 0).into(), 2).unwrap();
    let mut client = Client::connect(listeners.local_address()).await;
    client.send(GET).await;
    // Fewer threads than sockets: all sockets are served all the same.
    let proxy = Proxy::start(vec![listeners], settings(1)).unwrap();
    // They wait until there is a table to answer by.
    proxy.handle().set_table(RouteTable::default());
    assert_eq!(client.reply().await.status, 404);
    patiently("the end", proxy.shutdown(Duration::ZERO)).await;
}

#[tokio::test]
async fn a_proxy_that_hands_over_answers_once_more_where_it_was_connected() {
    let (one, two) = (App::named("one").await, App::named("two").await);
    let listeners = Listeners::bind(([127, 0, 0, 1], 0).into(), 2).unwrap();
    let address = listeners.local_address();
    let passed = listeners.duplicates().unwrap();
    let start = |listeners, threads, app: &App| {
        let proxy = Proxy::start(vec![listeners], settings(threads)).unwrap();
        let service = Service::serving("app", [app.upstream.clone()]);
        proxy.handle().set_table(table("app", service));
        proxy
    };
    let before = start(listeners, 2, &one);
    let (mut first, mut second) = (
        Client::connect(address).await,
        Client::connect(address).await,
    );
    for client in [&mut first, &mut second] {
        let reply = client.ask(GET).await;
        assert_eq!(
            (reply.body.as_str(), reply.header("connection")),
            ("one", None)
        );
    }
    let handle = before.handle();
    assert!(handle.in_use().contains("one"));

    // One thread takes over the sockets of two.
    let listeners = Listeners::from_passed(passed, 1).unwrap();
    let after = start(listeners, 1, &two);
    patiently("the new one", after.handle().accepts()).await;
    let leaving = tokio::spawn(before.hand_over(Duration::from_secs(60)));
    // Until the old one has heard of it, both accept.
    patiently("the new one alone", async {
        while Client::connect(address).await.ask(GET).await.body != "two" {}
    })
    .await;
    assert!(!leaving.is_finished(), "two connections are open");
    assert!(handle.in_use().contains("one"), "they may ask once more");
    for mut client in [first, second] {
        let mut reply = client.ask(GET).await;
        // The thread it is connected to may be the last to hear of it.
        while reply.header("connection").is_none() {
            assert_eq!(reply.body, "one");
            reply = client.ask(GET).await;
        }
        assert_eq!(reply.body, "one");
        assert_eq!(reply.header("connection"), Some("close"));
        assert_eq!(client.rest().await, "");
    }
    patiently("the end", leaving).await.unwrap();
    assert!(handle.in_use().is_empty());
    for _ in 0..20 {
        assert_eq!(Client::connect(address).await.ask(GET).await.body, "two");
    }
    patiently("the other end", after.shutdown(Duration::ZERO)).await;
}
