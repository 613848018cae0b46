//! Changing the table under load: no request fails, and nothing is in flight where 0 is reported.

use crate::world::{App, Client, GET, World, patiently, read_head, settings};
use mini_proxy::{Listeners, Proxy, ProxyHandle};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::task::JoinHandle;

const POST: &str = "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello";

/// Clients that ask without pause until stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(address: std::net::SocketAddr, clients: usize) -> Load {
        let (stop, answered) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let clients = (0..clients)
            .map(|number| {
                let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
                tokio::spawn(async move {
                    let mut client = Client::connect(address).await;
                    let request = if number % 2 == 0 { GET } else { POST };
                    while !stop.load(Ordering::Relaxed) {
                        let reply = client.ask(request).await;
                        assert_eq!(reply.status, 200, "{reply:?}");
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        Load {
            stop,
            answered,
            clients,
        }
    }

    /// Waits until so many more requests have been answered.
    pub(crate) async fn answers(&self, more: usize) {
        let goal = self.answered.load(Ordering::Relaxed) + more;
        while self.answered.load(Ordering::Relaxed) < goal {
            assert!(
                self.clients.iter().all(|client| !client.is_finished()),
                "a client failed"
            );
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_deploys_under_load_fail_no_request() {
    let mut app = App::named("release-0").await;
    let world = World::with_settings(settings(2), &[&app]);
    let load = Load::start(world.address, 8);
    for release in 1..=20 {
        patiently("some answers", load.answers(50)).await;
        let next = App::named(&format!("release-{release}")).await;
        world.route(&[&next]);
        let old = std::mem::replace(&mut app, next);
        let old_id = old.upstream.id.clone();
        patiently("the drain", world.handle.wait_drained(&old_id)).await;
        // In flight is 0: ending it now must not be noticed.
        old.kill().await;
    }
    patiently("some answers", load.answers(50)).await;
    load.stop().await;
    let counts = world.handle.counters().services["app"];
    assert_eq!(
        counts.by_class[0] + counts.by_class[2..].iter().sum::<u64>(),
        0,
        "{counts:?}"
    );
    assert_eq!(
        counts.retries, 0,
        "no request met an upstream that was gone: {counts:?}"
    );
}

#[tokio::test]
async fn after_the_swap_every_request_goes_to_the_new_upstream() {
    let (old, new) = (App::named("old").await, App::named("new").await);
    let world = World::with_settings(settings(2), &[&old]);
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(world.client().await);
    }
    for client in &mut clients {
        assert_eq!(client.ask(GET).await.body, "old");
    }
    world.route(&[&new]);
    for client in &mut clients {
        assert_eq!(client.ask(GET).await.body, "new");
    }
}

#[tokio::test]
async fn a_request_in_flight_finishes_on_the_upstream_it_has() {
    let (asked, mut was_asked) = tokio::sync::mpsc::channel(1);
    let (finish, may_finish) = tokio::sync::watch::channel(false);
    let old = App::raw("old", move |stream, _| {
        let (asked, mut may_finish) = (asked.clone(), may_finish.clone());
        async move {
            let mut stream = BufReader::new(stream);
            read_head(&mut stream).await;
            asked.send(()).await.unwrap();
            may_finish.wait_for(|may| *may).await.unwrap();
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold")
                .await;
        }
    })
    .await;
    let new = App::named("new").await;
    let world = World::with(&[&old]);
    let mut client = world.client().await;
    client.send(GET).await;
    patiently("the request", was_asked.recv()).await;
    world.route(&[&new]);
    let mut drained = world.handle.drained();
    assert_eq!(world.ask(GET).await.body, "new");
    assert_ne!(world.handle.in_flight("old"), 0);
    drained.mark_unchanged();
    finish.send(true).unwrap();
    assert_eq!(client.reply().await.body, "old");
    while world.handle.in_flight("old") > 0 {
        patiently("the signal", drained.changed()).await.unwrap();
    }
}

#[tokio::test]
async fn a_new_upstream_at_an_old_address_gets_no_old_connection() {
    let app = App::named("one").await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    assert_eq!(client.ask(GET).await.status, 200);
    assert_eq!(client.ask(GET).await.status, 200);
    assert_eq!(app.connections(), 1);
    let mut successor = app.upstream.clone();
    successor.id = "two".into();
    let service = mini_proxy::Service::serving("app", [successor]);
    world.handle.set_table(crate::world::table("app", service));
    assert_eq!(client.ask(GET).await.status, 200);
    assert_eq!(app.connections(), 2);
}

#[tokio::test]
async fn idle_connections_to_an_upstream_that_left_are_closed() {
    let (ended, mut has_ended) = tokio::sync::mpsc::channel(1);
    let app = App::raw("old", move |stream, _| {
        let ended = ended.clone();
        async move {
            let mut stream = BufReader::new(stream);
            read_head(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            assert_eq!(read_head(&mut stream).await, "");
            ended.send(()).await.unwrap();
        }
    })
    .await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    assert_eq!(client.ask(GET).await.status, 204);
    world.route(&[]);
    patiently("the close", has_ended.recv()).await.unwrap();
    patiently("the drain", world.handle.wait_drained("old")).await;
}

#[tokio::test]
async fn idle_connections_are_closed_after_the_idle_timeout() {
    let (ended, mut has_ended) = tokio::sync::mpsc::channel(1);
    let app = App::raw("old", move |stream, _| {
        let ended = ended.clone();
        async move {
            let mut stream = BufReader::new(stream);
            read_head(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            assert_eq!(read_head(&mut stream).await, "");
            ended.send(()).await.unwrap();
        }
    })
    .await;
    let mut settings = settings(1);
    settings.idle_timeout = std::time::Duration::from_millis(20);
    let world = World::with_settings(settings, &[&app]);
    let mut client = world.client().await;
    assert_eq!(client.ask(GET).await.status, 204);
    patiently("the close", has_ended.recv()).await.unwrap();
}

#[tokio::test]
async fn an_equal_table_is_no_change() {
    let app = App::named("one").await;
    let world = World::with(&[&app]);
    let before = world.handle.table();
    world.route(&[&app]);
    assert!(Arc::ptr_eq(&before, &world.handle.table()));
    let other = App::named("two").await;
    world.route(&[&other]);
    assert!(!Arc::ptr_eq(&before, &world.handle.table()));
}

/// Threads that have not followed the newest table count as one on an upstream that left: this is checked
/// against what really happens, by swapping without pause while requests run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_reaches_an_upstream_after_it_was_reported_free() {
    let listeners = Listeners::bind(([127, 0, 0, 1], 0).into(), 2).unwrap();
    let address = listeners.local_address();
    let proxy = Proxy::start(vec![listeners], settings(2)).unwrap();
    let handle: ProxyHandle = proxy.handle();
    let freed = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&freed);
    let first = App::http("first", move |_| {
        let freed = Arc::clone(&flag);
        async move {
            let status = if freed.load(Ordering::SeqCst) {
                599
            } else {
                200
            };
            let body = http_body_util::Full::<bytes::Bytes>::default();
            hyper::Response::builder()
                .status(status)
                .body(body)
                .unwrap()
        }
    })
    .await;
    let second = App::named("second").await;
    let to = |app: &App| {
        let service = mini_proxy::Service::serving("app", [app.upstream.clone()]);
        crate::world::table("app", service)
    };
    handle.set_table(to(&first));
    let load = Load::start(address, 8);
    for _ in 0..100 {
        handle.set_table(to(&second));
        patiently("the drain", handle.wait_drained("first")).await;
        freed.store(true, Ordering::SeqCst);
        patiently("an answer", load.answers(4)).await;
        freed.store(false, Ordering::SeqCst);
        handle.set_table(to(&first));
        patiently("an answer", load.answers(4)).await;
    }
    load.stop().await;
    patiently(
        "the shutdown",
        proxy.shutdown(std::time::Duration::from_secs(5)),
    )
    .await;
    assert_eq!(
        handle.in_flight("second"),
        0,
        "a proxy that has ended uses nothing"
    );
}
