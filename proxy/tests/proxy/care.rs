//! Upstreams that fail: left out for a while, asked whether they are back, and no request lost that may be repeated.

use crate::world::{App, Client, GET, World, patiently, read_head, settings};
use mini_proxy::{ProxySettings, Upstream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

const POST: &str = "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello";

/// An upstream whose port is taken and refuses, until it listens.
struct Absent {
    socket: TcpSocket,
    upstream: Upstream,
}

impl Absent {
    fn new(id: &str) -> Absent {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let upstream = Upstream {
            id: id.into(),
            address: socket.local_addr().unwrap(),
        };
        Absent { socket, upstream }
    }

    /// Begins to listen, and answers everything with its id.
    fn arrive(self) -> App {
        let id = Arc::clone(&self.upstream.id);
        let listener = self.socket.listen(64).unwrap();
        App::on(listener, &self.upstream.id, move |stream, _| {
            let id = Arc::clone(&id);
            async move { answer_all(stream, "200 OK", &id).await }
        })
    }
}

async fn answer_all(stream: TcpStream, status: &str, body: &str) {
    let mut stream = BufReader::new(stream);
    while !read_head(&mut stream).await.is_empty() {
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn route(world: &World, upstreams: &[&Upstream]) {
    let upstreams: Vec<Upstream> = upstreams.iter().copied().cloned().collect();
    let service = mini_proxy::Service::serving("app", upstreams);
    world.handle.set_table(crate::world::table("app", service));
}

#[tokio::test]
async fn an_upstream_that_refuses_is_left_out_and_comes_back_when_it_listens() {
    let (absent, live) = (Absent::new("absent"), App::named("live").await);
    let world = World::with(&[]);
    route(&world, &[&absent.upstream, &live.upstream]);
    let mut client = world.client().await;
    for request in [GET, POST].repeat(30) {
        assert_eq!(client.ask(request).await.body, "live");
    }
    let counts = world.counts();
    assert_eq!((counts.ejections, counts.retries), (1, 1), "{counts:?}");
    let back = absent.arrive();
    let comes_back = async { while client.ask(GET).await.body != "absent" {} };
    patiently("the upstream to come back", comes_back).await;
    // From then on it has its share again.
    patiently("its share", async {
        while client.ask(GET).await.body != "absent" {}
    })
    .await;
    assert_eq!(world.counts().ejections, 1);
    drop(back);
}

#[tokio::test]
async fn what_one_thread_learns_of_an_upstream_the_others_know() {
    let (absent, live) = (Absent::new("absent"), App::named("live").await);
    let world = World::with_settings(settings(2), &[]);
    route(&world, &[&absent.upstream, &live.upstream]);
    // The kernel spreads them over the threads.
    for _ in 0..60 {
        assert_eq!(world.ask(GET).await.body, "live");
    }
    // Two threads may learn it in the same moment; never one after the other.
    let counts = world.counts();
    assert_eq!(counts.ejections, 1, "{counts:?}");
    assert!(counts.retries <= 2, "{counts:?}");
}

/// An upstream whose queue of connections is full: the kernel answers no more.
struct Full {
    upstream: Upstream,
    _queued: (TcpListener, Vec<TcpStream>),
}

impl Full {
    async fn new() -> Full {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let moment = Duration::from_millis(50);
        let mut queued = Vec::new();
        while let Ok(Ok(stream)) = timeout(moment, TcpStream::connect(address)).await {
            queued.push(stream);
        }
        Full {
            upstream: Upstream {
                id: "full".into(),
                address,
            },
            _queued: (listener, queued),
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_being_made_is_given_up_when_its_upstream_leaves() {
    let (full, live) = (Full::new().await, App::named("live").await);
    let mut settings = settings(1);
    settings.connect_timeout = Duration::from_secs(3_600);
    let world = World::with_settings(settings, &[]);
    route(&world, &[&full.upstream]);
    let mut client = world.client().await;
    client.send(POST).await;
    patiently("the request", async {
        while world.handle.in_flight("full") == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    world.route(&[&live]);
    assert_eq!(client.reply().await.body, "live");
    assert_eq!(world.counts().retries, 0);
}

#[tokio::test]
async fn an_upstream_that_takes_no_connection_in_time_is_left_out() {
    let full = Full::new().await;
    let live = App::named("live").await;
    let mut settings = settings(1);
    settings.connect_timeout = Duration::from_millis(20);
    let world = World::with_settings(settings, &[]);
    route(&world, &[&full.upstream, &live.upstream]);
    let mut client = world.client().await;
    for request in [GET, POST].repeat(30) {
        assert_eq!(client.ask(request).await.body, "live");
    }
    let counts = world.counts();
    assert_eq!((counts.ejections, counts.retries), (1, 1), "{counts:?}");
}

#[tokio::test]
async fn an_upstream_that_closes_several_times_is_left_out_and_one_that_answers_500_is_not() {
    let closing = App::raw("closing", |stream, _| async move {
        read_head(&mut BufReader::new(stream)).await;
    })
    .await;
    let failing = App::raw("failing", |stream, _| async move {
        answer_all(stream, "500 Internal Server Error", "failing").await;
    })
    .await;
    let world = World::with(&[&closing, &failing]);
    let mut client = world.client().await;
    for _ in 0..60 {
        assert_eq!(client.ask(GET).await.body, "failing");
    }
    assert_eq!(closing.connections(), 3);
    let counts = world.counts();
    assert_eq!((counts.ejections, counts.retries), (1, 3), "{counts:?}");
}

#[tokio::test]
async fn the_last_upstream_is_asked_whatever_it_does() {
    let closes = Arc::new(AtomicBool::new(true));
    let closing = Arc::clone(&closes);
    let app = App::raw("app", move |stream, _| {
        let closes = Arc::clone(&closing);
        async move {
            if closes.load(Ordering::SeqCst) {
                read_head(&mut BufReader::new(stream)).await;
            } else {
                answer_all(stream, "200 OK", "well").await;
            }
        }
    })
    .await;
    let absent = Absent::new("absent");
    let world = World::with(&[]);
    route(&world, &[&absent.upstream, &app.upstream]);
    for _ in 0..10 {
        assert_eq!(world.ask(GET).await.status, 502);
    }
    assert_eq!(world.counts().ejections, 2);
    closes.store(false, Ordering::SeqCst);
    assert_eq!(world.ask(GET).await.body, "well");
}

/// An app that takes requests and closes without a word, and counts them.
async fn breaking(id: &str, taken: &Arc<AtomicUsize>) -> App {
    let taken = Arc::clone(taken);
    App::raw(id, move |stream, _| {
        let taken = Arc::clone(&taken);
        async move {
            if !read_head(&mut BufReader::new(stream)).await.is_empty() {
                taken.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_idempotent_request_that_was_lost_is_tried_once_on_another_upstream() {
    for (method, times) in [
        ("GET", 2),
        ("HEAD", 2),
        ("PUT", 2),
        ("DELETE", 2),
        ("POST", 1),
        ("PATCH", 1),
    ] {
        let taken = Arc::new(AtomicUsize::new(0));
        let apps = [
            breaking("one", &taken).await,
            breaking("two", &taken).await,
            breaking("three", &taken).await,
        ];
        let world = World::with(&[&apps[0], &apps[1], &apps[2]]);
        let mut client = world.client().await;
        client
            .send(&format!(
                "{method} / HTTP/1.1\r\nHost: app\r\nContent-Length: 0\r\n\r\n"
            ))
            .await;
        assert!(client.head().await.starts_with("HTTP/1.1 502"), "{method}");
        assert_eq!(taken.load(Ordering::SeqCst), times, "{method}");
        assert!(apps.iter().all(|app| app.connections() <= 1), "{method}");
    }
    // With a body, it is gone.
    let taken = Arc::new(AtomicUsize::new(0));
    let apps = [breaking("one", &taken).await, breaking("two", &taken).await];
    let world = World::with(&[&apps[0], &apps[1]]);
    let put = POST.replace("POST", "PUT");
    assert_eq!(world.ask(&put).await.status, 502);
    assert_eq!(taken.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_outage_is_not_multiplied_by_repeats() {
    let taken = Arc::new(AtomicUsize::new(0));
    let apps = [breaking("one", &taken).await, breaking("two", &taken).await];
    let world = World::with_settings(settings(1), &[&apps[0], &apps[1]]);
    const ASKED: usize = 1_000;
    let mut client = world.client().await;
    for _ in 0..ASKED {
        assert_eq!(client.ask(GET).await.status, 502);
    }
    let repeated = taken.load(Ordering::SeqCst) - ASKED;
    let retries = world.counts().retries;
    assert_eq!(repeated as u64, retries);
    // What it begins with, a fifth, and five a second for as long as a test may take.
    assert!(repeated <= 100 + ASKED / 5 + 5 * 60, "{repeated}");
    assert!(repeated >= ASKED / 5, "{repeated}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_upstreams_is_killed_under_load_and_no_idempotent_request_fails() {
    for round in 0..5 {
        let (one, two) = (App::named("one").await, App::named("two").await);
        let world = World::with_settings(settings(2), &[&one, &two]);
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let mut clients = Vec::new();
        for _ in 0..8 {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let mut client = Client::connect(world.address).await;
            clients.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let reply = client.ask(GET).await;
                    assert_eq!(reply.status, 200, "{reply:?}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        let more = async |count: usize| {
            let goal = answered.load(Ordering::Relaxed) + count;
            while answered.load(Ordering::Relaxed) < goal {
                assert!(
                    clients.iter().all(|client| !client.is_finished()),
                    "round {round}"
                );
                tokio::task::yield_now().await;
            }
        };
        patiently("answers", more(200)).await;
        one.kill().await;
        patiently("answers", more(400)).await;
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.unwrap();
        }
        drop(two);
    }
}

#[tokio::test]
async fn an_upstream_that_left_is_probed_no_more() {
    let absent = Absent::new("absent");
    let settings = ProxySettings {
        restart_wait: Duration::ZERO,
        ..settings(1)
    };
    let world = World::with_settings(settings, &[]);
    route(&world, &[&absent.upstream]);
    assert_eq!(world.ask(GET).await.status, 502);
    route(&world, &[]);
    patiently("the drain", world.handle.wait_drained("absent")).await;
    let stop = world.proxy.shutdown(Duration::from_secs(5));
    patiently("the shutdown", stop).await;
}
