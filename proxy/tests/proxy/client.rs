//! Who asks, where proxies stand in front that are trusted about it.

use crate::http2::prior_knowledge;
use crate::requests::mirror;
use crate::secure::{Caller, SecureWorld, certificate};
use crate::world::{App, World, header, patiently, read_head, settings, table};
use http::Request;
use http_body_util::BodyExt as _;
use mini_proxy::{AccessLogOptions, Hsts, Network, Policy, ProxySettings, Rate, Service};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, BufReader};

pub(crate) fn trusting(networks: &[(&str, u8)]) -> ProxySettings {
    let networks = networks.iter().map(|(address, prefix)| Network {
        address: address.parse().unwrap(),
        prefix: *prefix,
    });
    ProxySettings {
        trusted_proxies: networks.collect(),
        ..settings(1)
    }
}

/// Trusts whoever comes from this machine, and 10.0.0.0/8.
fn behind() -> ProxySettings {
    trusting(&[("127.0.0.0", 8), ("10.0.0.0", 8)])
}

fn asking(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: app\r\n{lines}\r\n")
}

fn with_policy(world: &World, policy: Policy, app: &App) {
    let service = Service {
        policy: Arc::new(policy),
        ..Service::serving("app", [app.upstream.clone()])
    };
    world.handle.set_table(table("app", service));
}

#[tokio::test]
async fn a_request_id_that_came_twice_reaches_the_upstream_once() {
    let app = mirror().await;
    let world = World::with_settings(behind(), &[&app]);
    let twice = "X-Request-Id: mine-1\r\nX-Request-Id: mine-2\r\n\
                 X-Request-Start: t=1700000000.123\r\nX-Request-Start: t=1700000001.123\r\n";
    let seen = world.ask(&asking(twice)).await.body;
    for (name, expected) in [
        ("x-request-id: ", "mine-1"),
        ("x-request-start: ", "t=1700000000.123"),
    ] {
        let lines = seen.lines().filter_map(|line| line.strip_prefix(name));
        assert_eq!(lines.collect::<Vec<_>>(), [expected], "{name}in:\n{seen}");
    }
}

#[tokio::test]
async fn a_trusted_proxy_says_who_asks_how_since_when_and_under_which_id() {
    let app = mirror().await;
    let world = World::with_settings(behind(), &[&app]);
    let seen = world
        .ask(&asking(
            "X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.1.1.1\r\nX-Forwarded-Proto: https\r\n\
             X-Forwarded-Host: forged\r\nX-Request-Id: mine-1\r\nX-Request-Start: t=1700000000.123\r\n\
             X-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n",
        ))
        .await
        .body;
    for (name, expected) in [
        ("x-forwarded-for", Some("192.0.2.1")),
        ("x-forwarded-proto", Some("https")),
        ("x-forwarded-port", Some("443")),
        ("x-forwarded-host", Some("app")),
        ("x-request-id", Some("mine-1")),
        ("x-request-start", Some("t=1700000000.123")),
        ("x-real-ip", None),
        ("forwarded", None),
    ] {
        assert_eq!(header(&seen, name), expected, "{name} in:\n{seen}");
    }
    let seen = async |lines: &str, name: &str| {
        let seen = world.ask(&asking(lines)).await.body;
        header(&seen, name).map(str::to_owned)
    };
    let port = Some(world.address.port().to_string());
    assert_eq!(
        seen("", "x-forwarded-for").await.as_deref(),
        Some("127.0.0.1")
    );
    assert_eq!(seen("", "x-forwarded-port").await, port);
    assert_eq!(
        seen("X-Forwarded-Port: 8443\r\n", "x-forwarded-port")
            .await
            .as_deref(),
        Some("8443")
    );
    let forwarded = "Forwarded: for=\"[2001:db8::7]:1\";proto=https;by=10.0.0.1, for=10.0.0.1\r\n";
    assert_eq!(
        seen(forwarded, "x-forwarded-for").await.as_deref(),
        Some("2001:db8::7")
    );
    assert_eq!(
        seen("X-Forwarded-For: nonsense\r\n", "x-forwarded-for")
            .await
            .as_deref(),
        Some("127.0.0.1")
    );
    for start in ["soon", "t=", "t=1\"2", &"1".repeat(41)] {
        let seen = seen(&format!("X-Request-Start: {start}\r\n"), "x-request-start").await;
        assert!(
            seen.as_deref()
                .is_some_and(|seen| seen.starts_with("t=1") && seen != start),
            "{seen:?}"
        );
    }
    // The same over HTTP/2, where each request may be another visitor's.
    let mut sender = prior_knowledge(world.address).await;
    for address in ["192.0.2.7", "2001:db8::8"] {
        let request = Request::get("http://app/").header("x-forwarded-for", address);
        let request = request.body(Default::default()).unwrap();
        let response = patiently("an answer", sender.send_request(request))
            .await
            .unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let seen = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(header(&seen, "x-forwarded-for"), Some(address), "{seen}");
    }
}

#[tokio::test]
async fn whoever_is_not_trusted_is_taken_for_itself() {
    let app = mirror().await;
    let world = World::with_settings(trusting(&[("192.0.2.0", 24)]), &[&app]);
    let seen = world
        .ask(&asking(
            "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 1\r\n",
        ))
        .await
        .body;
    for (name, expected) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", &*world.address.port().to_string()),
    ] {
        assert_eq!(header(&seen, name), Some(expected), "{seen}");
    }
}

#[tokio::test]
async fn rules_about_addresses_are_about_the_visitor() {
    let app = App::named("one").await;
    let world = World::with_settings(behind(), &[&app]);
    let from = |address: &str| asking(&format!("X-Forwarded-For: {address}\r\n"));
    let only = Policy {
        allow: vec![Network {
            address: "192.0.2.0".parse().unwrap(),
            prefix: 24,
        }],
        ..Policy::default()
    };
    with_policy(&world, only, &app);
    for (asked, status) in [
        (from("192.0.2.1"), 200),
        (from("198.51.100.1"), 403),
        (from("192.0.2.1, 198.51.100.1"), 403),
        (asking(""), 403),
    ] {
        assert_eq!(world.ask(&asked).await.status, status, "{asked}");
    }
    let rare = Policy {
        rate: Some(Rate {
            count: 1,
            per: Duration::from_secs(3600),
            burst: 1,
        }),
        ..Policy::default()
    };
    with_policy(&world, rare, &app);
    for (address, status) in [("192.0.2.1", 200), ("192.0.2.2", 200), ("192.0.2.1", 429)] {
        assert_eq!(world.ask(&from(address)).await.status, status, "{address}");
    }
}

#[tokio::test]
async fn the_access_log_has_the_visitor_and_how_it_came() {
    let app = App::named("one").await;
    let world = World::with_settings(behind(), &[&app]);
    let mut log = world.handle.access_log(AccessLogOptions::default());
    let lines =
        "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Request-Id: mine-1\r\n";
    assert_eq!(world.ask(&asking(lines)).await.status, 200);
    let batch = patiently("a record", log.next()).await.unwrap();
    let record = batch.iter().next().unwrap();
    assert_eq!((&*record.client, record.is_https), ("192.0.2.1", true));
    assert_eq!(record.request_id.as_deref(), Some("mine-1"));
}

#[tokio::test]
async fn https_in_front_is_https() {
    let (app, shown) = (mirror().await, certificate(&["app.test"]));
    let world = SecureWorld::start(behind(), &[&shown]);
    let service = Service {
        hsts: Some(Hsts::new(Duration::from_secs(60), false, false)),
        ..Service::serving("app", [app.upstream.clone()])
    };
    world.serve(&["app.test"], service);
    let get = |proto: &str| {
        let proto = match proto {
            "" => String::new(),
            proto => format!("X-Forwarded-Proto: {proto}\r\n"),
        };
        format!("GET / HTTP/1.1\r\nHost: app.test\r\n{proto}\r\n")
    };
    let mut plain = crate::world::Client::connect(world.http).await;
    let caller = Caller::trusting(&[&shown]);
    let mut secure = world.client(&caller, "app.test").await.unwrap();
    let hsts = Some("max-age=60");
    for (proto, of_plain, of_secure) in [
        ("", (308, None), (200, hsts)),
        ("https", (200, hsts), (200, hsts)),
        ("http", (308, None), (308, None)),
    ] {
        for (reply, expected) in [
            (plain.ask(&get(proto)).await, of_plain),
            (secure.ask(&get(proto)).await, of_secure),
        ] {
            let said = reply.header("strict-transport-security");
            assert_eq!((reply.status, said), expected, "{proto}: {reply:?}");
            let proto = header(&reply.body, "x-forwarded-proto");
            assert!(reply.status == 308 || proto == Some("https"), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn connections_of_a_trusted_proxy_are_not_counted() {
    let app = App::named("one").await;
    let limited = ProxySettings {
        max_connections_per_address: Some(1),
        ..behind()
    };
    let world = World::with_settings(limited, &[&app]);
    let mut kept = world.client().await;
    assert_eq!(kept.ask(&asking("")).await.body, "one");
    assert_eq!(world.ask(&asking("")).await.body, "one");
    assert_eq!(kept.ask(&asking("")).await.body, "one");
}

#[tokio::test]
async fn a_websocket_is_the_visitors() {
    let app = App::raw("socket", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        let head = read_head(&mut stream).await;
        let from = header(&head, "x-forwarded-for")
            .unwrap_or_default()
            .to_owned();
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        stream
            .write_all(format!("{answer}{from}").as_bytes())
            .await
            .unwrap();
    })
    .await;
    let world = World::with_settings(behind(), &[&app]);
    let mut client = world.client().await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nX-Forwarded-For: 192.0.2.1\r\n";
    client.send(&asking(upgrade)).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(client.rest().await, "192.0.2.1");
}

#[tokio::test]
async fn forwarded_and_traceparent_are_there_where_they_are_asked_for() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let app = mirror().await;
    let given = format!("Traceparent: {PARENT}\r\nTracestate: a=1\r\nForwarded: for=6.6.6.6\r\n");
    let told = Policy {
        forwarded: true,
        traceparent: true,
        ..Policy::default()
    };
    for (settings, continues) in [(settings(1), false), (behind(), true)] {
        let world = World::with_settings(settings, &[&app]);
        let seen = world.ask(&asking(&given)).await.body;
        // Not asked for: a field like any other.
        assert_eq!(header(&seen, "traceparent"), Some(PARENT));
        assert_eq!(header(&seen, "tracestate"), Some("a=1"));
        assert_eq!(header(&seen, "forwarded"), None);
        with_policy(&world, told.clone(), &app);
        let seen = world.ask(&asking(&given)).await.body;
        let parent = header(&seen, "traceparent").unwrap();
        assert_eq!(parent == PARENT, continues, "{seen}");
        assert_eq!(header(&seen, "tracestate").is_some(), continues, "{seen}");
        let client = if continues { "6.6.6.6" } else { "127.0.0.1" };
        let forwarded = format!("for={client};host=app;proto=http");
        assert_eq!(header(&seen, "forwarded"), Some(&*forwarded), "{seen}");
        let seen = world.ask(&asking("")).await.body;
        let made = header(&seen, "traceparent").unwrap();
        assert!(made.len() == 55 && made != parent, "{seen}");
    }
}
