//! Every request leaves a record, and its figures with its service.

use crate::http2::speak;
use crate::secure::{Caller, SecureWorld, certificate};
use crate::world::{App, GET, World, patiently, read_head, service_in, settings, table};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Response;
use hyper_util::rt::TokioIo;
use mini_proxy::{
    AccessBatch, AccessLog, AccessLogOptions, AccessRecord, Cut, HttpVersion, Policy, ProxyHandle,
    Service, ServiceState,
};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Batches read until as many records have come as were waited for.
struct Records {
    log: AccessLog,
    batches: Vec<AccessBatch>,
}

impl Records {
    fn of(handle: &ProxyHandle, options: AccessLogOptions) -> Records {
        Records {
            log: handle.access_log(options),
            batches: Vec::new(),
        }
    }

    /// The first `count` records so far, in the order in which their answers ended.
    async fn first(&mut self, count: usize) -> Vec<AccessRecord<'_>> {
        while self.batches.iter().map(AccessBatch::len).sum::<usize>() < count {
            let batch = patiently("a batch", self.log.next()).await;
            self.batches.push(batch.unwrap());
        }
        self.batches.iter().flat_map(AccessBatch::iter).collect()
    }

    async fn only(&mut self) -> AccessRecord<'_> {
        let mut records = self.first(1).await;
        assert_eq!(records.len(), 1, "{records:?}");
        records.remove(0)
    }
}

#[tokio::test]
async fn a_request_leaves_a_record_of_what_was_asked_and_answered() {
    let app = App::named("one").await;
    let world = World::with(&[&app]);
    let mut records = Records::of(&world.handle, AccessLogOptions::default());
    let before = SystemTime::now();
    let reply = world
        .ask(
            "POST /cart/add?token=secret HTTP/1.1\r\nHost: APP:80\r\nContent-Length: 5\r\n\
             User-Agent: curl/8\r\nReferer: https://shop.example/list?key=secret\r\n\r\nhello",
        )
        .await;
    assert_eq!(reply.status, 200);
    let record = records.only().await;
    assert!(before <= record.at && record.at <= SystemTime::now());
    assert_eq!(record.service.as_deref(), Some("app"));
    let id = record.request_id.as_deref().unwrap_or_default();
    assert_eq!(id.len(), 32, "{id}");
    assert_eq!(record.client, "127.0.0.1");
    assert_eq!(
        (record.method.as_ref(), record.host.as_ref()),
        ("POST", "APP:80")
    );
    assert_eq!(record.path, "/cart/add", "a query may hold a secret");
    assert_eq!(record.referer.as_deref(), Some("https://shop.example/list"));
    assert_eq!(record.user_agent.as_deref(), Some("curl/8"));
    assert_eq!((record.request_bytes, record.response_bytes), (5, 3));
    assert_eq!(
        (record.status, record.fault, record.cut),
        (Some(200), None, None)
    );
    assert_eq!(
        (record.version, record.is_https),
        (HttpVersion::HTTP_11, false)
    );
    assert_eq!(
        (record.upstream.as_deref(), record.retries),
        (Some("one"), 0)
    );
    assert_eq!(record.upgrade, None);
    let first_byte = record.first_byte.unwrap();
    assert!(
        first_byte > Duration::ZERO && first_byte <= record.duration,
        "{record:?}"
    );
}

#[tokio::test]
async fn the_figures_of_a_service_grow_with_its_requests_whether_or_not_anyone_reads_records() {
    let app = App::named("one").await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    for _ in 0..3 {
        client.ask(GET).await;
    }
    let counters = world.handle.counters();
    let counts = counters.services["app"];
    assert_eq!(
        (counts.durations.count(), counts.first_bytes.count()),
        (3, 3)
    );
    assert!(counts.first_bytes.sum() <= counts.durations.sum());
    assert_eq!((counts.in_flight, counters.accepted_connections), (0, 1));
    assert_eq!(counters.dropped_log_records, 0);
}

#[tokio::test]
async fn a_service_that_wants_none_leaves_no_record_but_figures() {
    let app = App::named("one").await;
    let world = World::start(settings(1));
    let mut records = Records::of(&world.handle, AccessLogOptions::default());
    let service = |is_unlogged| Service {
        policy: Arc::new(Policy {
            is_unlogged,
            ..Policy::default()
        }),
        ..Service::serving("app", [app.upstream.clone()])
    };
    let mut client = world.client().await;
    for (is_unlogged, path) in [(false, "/first"), (true, "/secret"), (false, "/last")] {
        world.handle.set_table(table("app", service(is_unlogged)));
        let request = format!("GET {path} HTTP/1.1\r\nHost: app\r\n\r\n");
        assert_eq!(client.ask(&request).await.status, 200);
    }
    let records = records.first(2).await;
    let paths: Vec<&str> = records.iter().map(|record| record.path.as_ref()).collect();
    assert_eq!(paths, ["/first", "/last"]);
    assert_eq!(world.handle.counters().services["app"].durations.count(), 3);
}

#[tokio::test]
async fn queries_are_kept_where_that_is_asked_for() {
    let world = World::start(settings(1));
    let with_queries = AccessLogOptions { with_queries: true };
    let mut records = Records::of(&world.handle, with_queries);
    world
        .ask("GET /a?b=c HTTP/1.1\r\nHost: app\r\nReferer: http://x/?y\r\n\r\n")
        .await;
    let record = records.only().await;
    assert_eq!(record.path, "/a?b=c");
    assert_eq!(record.referer.as_deref(), Some("http://x/?y"));
}

#[tokio::test]
async fn a_request_that_no_app_answers_is_on_record_with_its_fault() {
    let world = World::start(settings(1));
    let mut records = Records::of(&world.handle, AccessLogOptions::default());
    world.ask("GET /x HTTP/1.1\r\nHost: nobody\r\n\r\n").await;
    let stopped = service_in(ServiceState::Stopped);
    world.handle.set_table(table("app", stopped));
    world.ask(GET).await;
    let absent = App::absent("gone").await;
    world.route(&[&absent]);
    world.ask(GET).await;
    let records = records.first(3).await;
    let told = |record: &AccessRecord<'_>| {
        let upstream = record.upstream.as_deref().map(str::to_owned);
        (record.status, record.fault, upstream, record.retries)
    };
    let [unknown, stopped, refused] = records.as_slice() else {
        panic!("{records:?}");
    };
    assert_eq!(unknown.service, None);
    assert_eq!(
        (unknown.host.as_ref(), unknown.path.as_ref()),
        ("nobody", "/x")
    );
    assert_eq!(
        told(unknown),
        (Some(404), Some("destination_not_found"), None, 0)
    );
    assert_eq!(stopped.service.as_deref(), Some("app"));
    assert_eq!(
        told(stopped),
        (Some(503), Some("destination_unavailable"), None, 0)
    );
    let gone = Some("gone".to_owned());
    assert_eq!(
        told(refused),
        (Some(502), Some("connection_refused"), gone, 1)
    );
    assert_eq!(refused.first_byte, None);
    assert!(refused.response_bytes > 0, "the page of ours counts");
}

#[tokio::test]
async fn texts_of_any_length_and_kind_are_cut_and_cleaned() {
    let world = World::start(settings(1));
    let mut records = Records::of(&world.handle, AccessLogOptions::default());
    let mut client = world.client().await;
    let long = "p".repeat(5000);
    client
        .send(&format!(
            "GET /{long} HTTP/1.1\r\nHost: app\r\nReferer: {long}\r\nUser-Agent: "
        ))
        .await;
    client.stream.write_all(b"caf\xe9\r\n\r\n").await.unwrap();
    client.reply().await;
    let record = records.only().await;
    assert_eq!(record.path.len(), 2048);
    assert_eq!(record.referer.unwrap().len(), 256);
    assert_eq!(record.user_agent.as_deref(), Some("caf\u{fffd}"));
}

#[tokio::test]
async fn an_answer_to_head_and_one_without_a_body_are_whole() {
    let app = App::http("one", |request| async move {
        let mut response = Response::new(Full::<Bytes>::default());
        if request.uri().path() == "/none" {
            *response.status_mut() = hyper::StatusCode::NO_CONTENT;
        }
        response
    })
    .await;
    let world = World::with(&[&app]);
    let mut records = Records::of(&world.handle, AccessLogOptions::default());
    let mut client = world.client().await;
    client.send("HEAD / HTTP/1.1\r\nHost: app\r\n\r\n").await;
    client.head().await;
    client.send("GET /none HTTP/1.1\r\nHost: app\r\n\r\n").await;
    client.head().await;
    // Our own pages as well.
    client.send("HEAD / HTTP/1.1\r\nHost: nobody\r\n\r\n").await;
    client.head().await;
    let records = records.first(3).await;
    assert!(
        records.iter().all(|record| record.cut.is_none()),
        "{records:?}"
    );
}

/// An app that sends part of its answer, then waits for its connection to be closed or closes it itself.
async fn half_hearted(closes: bool) -> App {
    App::raw("half", move |stream, _| async move {
        let mut stream = BufReader::new(stream);
        read_head(&mut stream).await;
        let part = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart";
        stream.write_all(part.as_bytes()).await.unwrap();
        if !closes {
            let _ = stream.read(&mut [0; 1]).await;
        }
    })
    .await
}

#[tokio::test]
async fn an_answer_that_breaks_off_says_on_whose_side() {
    for (closes, expected) in [(true, Cut::Upstream), (false, Cut::Client)] {
        let app = half_hearted(closes).await;
        let world = World::with(&[&app]);
        let mut records = Records::of(&world.handle, AccessLogOptions::default());
        let mut client = world.client().await;
        client.send(GET).await;
        client.head().await;
        assert_eq!(client.read_text(4).await, "part");
        if closes {
            assert_eq!(client.rest().await, "");
        } else {
            client.leave();
        }
        let record = records.only().await;
        assert_eq!((record.status, record.cut), (Some(200), Some(expected)));
        assert_eq!(record.response_bytes, 4);
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_has_a_record_without_status() {
    let (asked, mut was_asked) = tokio::sync::mpsc::channel(1);
    let app = App::raw("silent", move |stream: TcpStream, _| {
        let asked = asked.clone();
        async move {
            let mut stream = BufReader::new(stream);
            read_head(&mut stream).await;
            asked.send(()).await.unwrap();
            let _ = stream.read(&mut [0; 1]).await;
        }
    })
    .await;
    let world = World::with(&[&app]);
    let mut records = Records::of(&world.handle, AccessLogOptions::default());
    let mut client = world.client().await;
    client.send(GET).await;
    patiently("the request", was_asked.recv()).await;
    assert_eq!(world.handle.counters().services["app"].in_flight, 1);
    client.leave();
    let record = records.only().await;
    assert_eq!((record.status, record.cut), (None, Some(Cut::Client)));
    assert_eq!(world.handle.counters().services["app"].in_flight, 0);
}

#[tokio::test]
async fn an_upgraded_connection_is_one_record_with_all_it_carried() {
    let app = App::raw("chat", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        read_head(&mut stream).await;
        let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut told = [0; 5];
        stream.read_exact(&mut told).await.unwrap();
        stream.write_all(b"bye!").await.unwrap();
    })
    .await;
    let world = World::with(&[&app]);
    let mut records = Records::of(&world.handle, AccessLogOptions::default());
    let mut client = world.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    client.head().await;
    assert_eq!(client.read_text(2).await, "hi");
    client.send("hello").await;
    assert_eq!(client.rest().await, "bye!");
    drop(client);
    let record = records.only().await;
    assert_eq!(
        (record.status, record.upgrade.as_deref()),
        (Some(101), Some("websocket"))
    );
    assert_eq!((record.request_bytes, record.response_bytes), (5, 6));
    let counts = world.handle.counters().services["app"];
    assert_eq!(
        counts.durations.count(),
        0,
        "how long a visitor stays is no latency"
    );
    assert_eq!(counts.first_bytes.count(), 1);
}

#[tokio::test]
async fn requests_over_tls_and_http2_say_so_and_handshakes_are_counted() {
    // One that answered before it has the body would end the count of its bytes.
    let app = App::http("one", |request| async {
        request.into_body().collect().await.unwrap();
        Response::new(Full::from("one"))
    })
    .await;
    let shown = certificate(&["app.test"]);
    let world = SecureWorld::with(&app, &["app.test"], &[&shown]);
    let mut records = Records::of(&world.handle, AccessLogOptions::default());
    let caller = Caller::trusting(&[&shown]).offering(&["h2"]);
    let stream = world.connect(&caller, "app.test").await.unwrap();
    let mut sender = speak(stream).await;
    let request = hyper::Request::post("https://app.test/a?b").body(Full::from("hello"));
    let response = sender.send_request(request.unwrap()).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "one");
    {
        let record = records.only().await;
        assert_eq!(
            (record.version, record.is_https),
            (HttpVersion::HTTP_2, true)
        );
        assert_eq!(
            (record.host.as_ref(), record.path.as_ref()),
            ("app.test", "/a")
        );
        assert_eq!((record.request_bytes, record.response_bytes), (5, 3));
        assert_eq!((record.status, record.cut), (Some(200), None));
    }
    // The authority is the host also where there is no app for it, or it is another's.
    let misdirected = hyper::Request::get("https://other.test/").body(Full::default());
    let response = sender.send_request(misdirected.unwrap()).await.unwrap();
    assert_eq!(response.status(), 421);
    let all = records.first(2).await;
    let last = all.last().unwrap();
    assert_eq!((last.status, last.host.as_ref()), (Some(421), "other.test"));
    assert_eq!(last.service, None);
    world.connect(&caller, "nobody.test").await.unwrap_err();
    // The client has the alert before the thread that sent it counts.
    patiently("the failed handshake in the counters", async {
        while world.handle.counters().failed_tls_handshakes == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let counters = world.handle.counters();
    assert_eq!(
        (counters.tls_handshakes, counters.failed_tls_handshakes),
        (1, 1)
    );
}

#[tokio::test]
async fn a_websocket_over_http2_is_a_record_like_one_over_http1() {
    let app = App::raw("chat", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        read_head(&mut stream).await;
        let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let _ = stream.read_exact(&mut [0; 5]).await;
    })
    .await;
    let world = World::with(&[&app]);
    let mut records = Records::of(&world.handle, AccessLogOptions::default());
    let stream = TcpStream::connect(world.address).await.unwrap();
    let mut sender = speak::<_, Full<Bytes>>(stream).await;
    // The server's settings, which allow what follows, come with the first answer at the latest.
    let first = hyper::Request::get("http://nobody/").body(Full::default());
    sender.send_request(first.unwrap()).await.unwrap();
    let mut request = hyper::Request::connect("http://app/chat")
        .header("sec-websocket-version", "13")
        .body(Full::default())
        .unwrap();
    let websocket = hyper::ext::Protocol::from_static("websocket");
    request.extensions_mut().insert(websocket);
    let mut response = sender.send_request(request).await.unwrap();
    let mut socket = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    socket.read_exact(&mut [0; 2]).await.unwrap();
    socket.write_all(b"hello").await.unwrap();
    // The app has it and ends.
    let _ = patiently("the end", socket.read(&mut [0; 1])).await;
    drop(socket);
    let all = records.first(2).await;
    let record = all.last().unwrap();
    assert_eq!(
        (record.status, record.upgrade.as_deref()),
        (Some(200), Some("websocket"))
    );
    assert_eq!(
        (record.method.as_ref(), record.path.as_ref()),
        ("CONNECT", "/chat")
    );
    assert_eq!((record.request_bytes, record.response_bytes), (5, 2));
}

#[tokio::test]
async fn a_reader_that_is_behind_loses_records_and_is_told_how_many() {
    let world = World::start(settings(1));
    let mut records = Records::of(&world.handle, AccessLogOptions::default());
    let mut client = world.client().await;
    // Long paths fill batches quickly: 64 KiB each, of which 64 may wait.
    let request = format!("GET /{} HTTP/1.1\r\nHost: nobody\r\n\r\n", "p".repeat(2047));
    let mut asked = 0;
    while world.handle.counters().dropped_log_records == 0 {
        assert_eq!(client.ask(&request).await.status, 404);
        asked += 1;
    }
    let dropped = world.handle.counters().dropped_log_records;
    let kept = asked - usize::try_from(dropped).unwrap();
    assert_eq!(records.first(kept).await.len(), kept);
    // There is room again, and the next batch says what is missing.
    client.ask(&request).await;
    records.first(kept + 1).await;
    let told: Vec<u64> = records.batches.iter().map(AccessBatch::dropped).collect();
    assert_eq!(told.iter().sum::<u64>(), dropped);
    assert_eq!(told.last(), Some(&dropped));
}

#[tokio::test]
async fn the_log_ends_after_the_last_record_when_the_proxy_has_shut_down() {
    let app = App::named("one").await;
    let world = World::with(&[&app]);
    let mut log = world.handle.access_log(AccessLogOptions::default());
    world.ask(GET).await;
    patiently("the end", world.proxy.shutdown(Duration::ZERO)).await;
    let last = log.try_next().unwrap();
    assert_eq!(last.len(), 1);
    assert!(patiently("the end", log.next()).await.is_none());
}
