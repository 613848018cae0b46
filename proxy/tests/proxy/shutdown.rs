//! Stopping: what is in flight finishes, what is idle closes, what lasts too long is cut.

use crate::world::{App, Client, GET, World, patiently, read_head, settings, table};
use mini_proxy::Service;
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

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
    let listeners = mini_proxy::Listeners::bind(([127, 0, 0, 1], 0).into(), 2).unwrap();
    let mut client = Client::connect(listeners.local_address()).await;
    client.send(GET).await;
    // Fewer threads than sockets: all sockets are served all the same.
    let proxy = mini_proxy::Proxy::start(vec![listeners], settings(1)).unwrap();
    // They wait until there is a table to answer by.
    proxy.handle().set_table(mini_proxy::RouteTable::default());
    assert_eq!(client.reply().await.status, 404);
    patiently("the end", proxy.shutdown(Duration::ZERO)).await;
}

#[tokio::test]
async fn a_proxy_that_hands_over_answers_once_more_where_it_was_connected() {
    let (one, two) = (App::named("one").await, App::named("two").await);
    let listeners = mini_proxy::Listeners::bind(([127, 0, 0, 1], 0).into(), 2).unwrap();
    let address = listeners.local_address();
    let passed = listeners.duplicates().unwrap();
    let start = |listeners, threads, app: &App| {
        let proxy = mini_proxy::Proxy::start(vec![listeners], settings(threads)).unwrap();
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
    let listeners = mini_proxy::Listeners::from_passed(passed, 1).unwrap();
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
