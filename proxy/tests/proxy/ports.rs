//! Ports opened and closed beside the listeners while requests go on.

use crate::secure::{Caller, SecureWorld, certificate};
use crate::swaps::Load;
use crate::upgrades::{UPGRADE, echo};
use crate::world::{App, Client, GET, World, patiently, read_head, settings, table};
use mini_proxy::{
    Listeners, OpenPortError, PortRoutes, Proxy, ProxyHandle, RouteTable, Service, Target,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

const LONG: Duration = Duration::from_secs(60);

fn bind(threads: usize) -> (Listeners, SocketAddr) {
    let listeners = Listeners::bind(([127, 0, 0, 1], 0).into(), threads).unwrap();
    let address = listeners.local_address();
    (listeners, address)
}

fn target(app: &App) -> Target {
    Arc::new(Service::serving("app", [app.upstream.clone()])).into()
}

/// Routes host `app` of a port to an app; other hosts too, if that is said.
fn route(handle: &ProxyHandle, port: u16, app: &App, otherwise: bool) {
    let mut hosts = RouteTable::default();
    hosts.insert_target("app".parse().unwrap(), target(app));
    let otherwise = otherwise.then(|| target(app));
    handle.update(|table| table.set_port(port, PortRoutes::new(hosts, otherwise)));
}

fn ask(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

#[tokio::test]
async fn a_port_answers_by_its_own_routes() {
    let (app, other) = (App::named("one").await, App::named("two").await);
    let world = World::with_settings(settings(2), &[&app]);
    let (listeners, address) = bind(2);
    world.handle.open_port(vec![listeners]).unwrap();
    let get = async |host: &str| {
        let reply = Client::connect(address).await.ask(&ask(host)).await;
        (reply.status, reply.body)
    };
    assert_eq!(get("app").await.0, 404, "it has no routes yet");
    route(&world.handle, address.port(), &other, false);
    assert_eq!(get("app").await, (200, "two".to_owned()));
    assert_eq!(get(&address.to_string()).await.0, 404);
    route(&world.handle, address.port(), &other, true);
    for host in ["app", &address.to_string(), "any.name"] {
        assert_eq!(get(host).await, (200, "two".to_owned()), "{host}");
    }
    assert_eq!(world.ask(GET).await.body, "one");
    // An upstream that only a port leads to is believed to be in use, and let go of with its routes.
    let mut kept = Client::connect(address).await;
    assert_eq!(kept.ask(GET).await.body, "two");
    route(&world.handle, address.port(), &app, true);
    patiently("the drain", world.handle.wait_drained("two")).await;
    assert_eq!(kept.ask(GET).await.body, "one");
    let open = world.handle.open_ports();
    assert_eq!((open[0].port, open[0].is_tls), (address.port(), false));
    assert_eq!(open[0].addresses, [address]);
}

#[tokio::test]
async fn what_cannot_be_one_port_is_refused_and_closed() {
    let world = World::start(settings(1));
    let ((one, first), (two, second)) = (bind(1), bind(1));
    let refused = world.handle.open_port(vec![one, two]);
    assert!(matches!(refused, Err(OpenPortError::Mixed)), "{refused:?}");
    let refused = world.handle.open_port(Vec::new());
    assert!(matches!(refused, Err(OpenPortError::Mixed)), "{refused:?}");
    for address in [first, second] {
        assert!(TcpStream::connect(address).await.is_err());
    }
    assert!(!world.handle.close_port(first.port(), LONG).await);
    let (listeners, address) = bind(1);
    world.handle.open_port(vec![listeners]).unwrap();
    let same = (std::net::Ipv4Addr::new(127, 0, 0, 2), address.port());
    let again = Listeners::bind(same.into(), 1).unwrap();
    let refused = world.handle.open_port(vec![again]);
    assert!(
        matches!(refused, Err(OpenPortError::Open(_))),
        "{refused:?}"
    );
    let handle = world.handle.clone();
    patiently("the end", world.proxy.shutdown(Duration::ZERO)).await;
    let refused = handle.open_port(vec![bind(1).0]);
    assert!(
        matches!(refused, Err(OpenPortError::Stopping)),
        "{refused:?}"
    );
    // The threads are gone, and so is what they had.
    assert!(patiently("the close", handle.close_port(address.port(), LONG)).await);
    Listeners::bind(address, 1).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ports_open_and_close_under_load_and_no_request_fails() {
    let app = App::named("one").await;
    let world = World::with_settings(settings(2), &[&app]);
    let (steady, steady_address) = bind(2);
    world.handle.open_port(vec![steady]).unwrap();
    route(&world.handle, steady_address.port(), &app, true);
    let loads = [
        Load::start(world.address, 4),
        Load::start(steady_address, 4),
    ];
    let mut last: Option<SocketAddr> = None;
    for _ in 0..20 {
        let listeners = match last {
            // The same again: what was closed is free.
            Some(address) => Listeners::bind(address, 2).unwrap(),
            None => bind(2).0,
        };
        let address = listeners.local_address();
        world.handle.open_port(vec![listeners]).unwrap();
        route(&world.handle, address.port(), &app, true);
        let load = Load::start(address, 4);
        for load in [&loads[0], &loads[1], &load] {
            patiently("some answers", load.answers(20)).await;
        }
        load.stop().await;
        assert!(patiently("the close", world.handle.close_port(address.port(), LONG)).await);
        world.handle.update(|table| {
            table.remove_port(address.port());
        });
        assert!(TcpStream::connect(address).await.is_err());
        last = Some(address);
    }
    for load in loads {
        load.stop().await;
    }
    let counts = world.counts();
    assert_eq!(
        counts.by_class[0] + counts.by_class[2..].iter().sum::<u64>(),
        0,
        "{counts:?}"
    );
    let unrouted = world.handle.counters().unrouted;
    assert_eq!(unrouted.by_class, [0; 5], "{unrouted:?}");
}

/// Clients that meet the end of a port have a whole answer, or none of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_while_a_port_closes_is_answered_whole_or_not_at_all() {
    let app = App::named("whole answer").await;
    let world = World::with_settings(settings(2), &[&app]);
    for _ in 0..10 {
        let (listeners, address) = bind(2);
        world.handle.open_port(vec![listeners]).unwrap();
        route(&world.handle, address.port(), &app, true);
        let (begun, mut has_begun) = mpsc::channel(64);
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let begun = begun.clone();
                tokio::spawn(async move {
                    loop {
                        let Ok(mut stream) = TcpStream::connect(address).await else {
                            return;
                        };
                        let request = "GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n";
                        let _ = stream.write_all(request.as_bytes()).await;
                        let mut client = Client {
                            stream: BufReader::new(stream),
                        };
                        let answer = client.rest().await;
                        let is_whole = answer.starts_with("HTTP/1.1 200 OK")
                            && answer.ends_with("whole answer");
                        assert!(answer.is_empty() || is_whole, "{answer}");
                        if is_whole {
                            let _ = begun.try_send(());
                        }
                    }
                })
            })
            .collect();
        patiently("an answer", has_begun.recv()).await.unwrap();
        patiently("the close", world.handle.close_port(address.port(), LONG)).await;
        for client in clients {
            patiently("a client's end", client).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_request_in_flight_outlives_its_port_and_an_idle_connection_does_not() {
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
    let (listeners, address) = bind(2);
    world.handle.open_port(vec![listeners]).unwrap();
    route(&world.handle, address.port(), &app, false);
    let mut elsewhere = world.client().await;
    assert_eq!(elsewhere.ask(&ask("nobody")).await.status, 404);
    let mut idle = Client::connect(address).await;
    assert_eq!(idle.ask(&ask("nobody")).await.status, 404);
    let mut busy = Client::connect(address).await;
    busy.send(GET).await;
    patiently("the request", was_asked.recv()).await;
    assert!(patiently("the close", world.handle.close_port(address.port(), LONG)).await);
    world.handle.update(|table| {
        table.remove_port(address.port());
    });
    assert_eq!(idle.rest().await, "");
    assert!(TcpStream::connect(address).await.is_err());
    finish.send(true).unwrap();
    assert_eq!(busy.reply().await.body, "half full");
    assert_eq!(busy.rest().await, "");
    // Who came in by a listener noticed nothing.
    assert_eq!(elsewhere.ask(&ask("nobody")).await.status, 404);
}

#[tokio::test]
async fn what_outlasts_the_drain_of_its_port_is_cut_and_nothing_else() {
    let app = echo().await;
    let world = World::with(&[&app]);
    let (listeners, address) = bind(1);
    world.handle.open_port(vec![listeners]).unwrap();
    route(&world.handle, address.port(), &app, false);
    let (mut here, mut there) = (world.client().await, Client::connect(address).await);
    for client in [&mut here, &mut there] {
        client.send(UPGRADE).await;
        assert!(client.head().await.starts_with("HTTP/1.1 101 "));
        assert_eq!(client.read_text(7).await, "welcome");
    }
    let drain = Duration::from_millis(10);
    assert!(patiently("the close", world.handle.close_port(address.port(), drain)).await);
    assert_eq!(there.rest().await, "");
    here.send("still there").await;
    assert_eq!(here.read_text(11).await, "still there");
}

#[tokio::test]
async fn a_port_with_tls_shows_the_certificates_and_a_plain_one_redirects_nobody() {
    let (app, shown) = (App::named("one").await, certificate(&["app"]));
    let mut world = SecureWorld::with(&app, &["app"], &[&shown]);
    let ((secure, https), (plain, http)) = (bind(1), bind(1));
    world.handle.open_port(vec![secure.tls()]).unwrap();
    world.handle.open_port(vec![plain]).unwrap();
    route(&world.handle, https.port(), &app, true);
    route(&world.handle, http.port(), &app, true);
    let redirected = Client::connect(world.http).await.ask(GET).await;
    assert_eq!(redirected.status, 308);
    assert_eq!(Client::connect(http).await.ask(GET).await.body, "one");
    world.https = https;
    let caller = Caller::trusting(&[&shown]).offering(&["http/1.1"]);
    let mut client = world.client(&caller, "app").await.unwrap();
    assert_eq!(client.ask(GET).await.body, "one");
    assert_eq!(client.ask(&ask("other")).await.status, 421);
    assert!(world.client(&caller, "other").await.is_err());
}

#[tokio::test]
async fn the_ports_of_one_proxy_are_taken_over_by_the_next() {
    let (one, two) = (App::named("one").await, App::named("two").await);
    let (standard, _) = bind(2);
    let start = |listeners: Listeners, threads, app: &App| {
        let proxy = Proxy::start(vec![listeners], settings(threads)).unwrap();
        let service = Service::serving("app", [app.upstream.clone()]);
        proxy.handle().set_table(table("app", service));
        proxy
    };
    let passed = standard.duplicates().unwrap();
    let before = start(standard, 2, &one);
    let (listeners, address) = bind(2);
    before.handle().open_port(vec![listeners]).unwrap();
    route(&before.handle(), address.port(), &one, true);
    let mut kept = Client::connect(address).await;
    assert_eq!(kept.ask(GET).await.body, "one");

    let after = start(Listeners::from_passed(passed, 1).unwrap(), 1, &two);
    for listeners in before.handle().port_listeners().unwrap() {
        let sockets = listeners.duplicates().unwrap();
        let listeners = Listeners::from_passed(sockets, 1).unwrap();
        after.handle().open_port(vec![listeners]).unwrap();
    }
    route(&after.handle(), address.port(), &two, true);
    let leaving = tokio::spawn(before.hand_over(LONG));
    patiently("the new one alone", async {
        while Client::connect(address).await.ask(GET).await.body != "two" {}
    })
    .await;
    let last = kept.ask(GET).await;
    assert_eq!(last.body, "one");
    assert_eq!(last.header("connection"), Some("close"));
    patiently("the end", leaving).await.unwrap();
    for _ in 0..20 {
        assert_eq!(Client::connect(address).await.ask(GET).await.body, "two");
    }
    patiently("the other end", after.shutdown(Duration::ZERO)).await;
    assert!(TcpStream::connect(address).await.is_err());
}
