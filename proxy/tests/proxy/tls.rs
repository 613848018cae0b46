//! HTTPS: which certificate is shown to whom, who is refused, and what it changes for requests.

use crate::secure::{Caller, SecureWorld, certificate, certificates};
use crate::world::{App, Client, GET, Reply, header, patiently, read_head, settings};
use mini_proxy::{Certificate, Hsts, PlainHttp, ProxySettings, Service};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, HandshakeKind};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

fn get(host: &str) -> String {
    format!("GET /path?query=1 HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// An app that answers with the head of the request.
async fn mirror() -> App {
    App::http("mirror", |request| async move {
        let lines = request.headers().iter();
        let lines = lines.map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
        hyper::Response::new(lines.collect::<String>().into())
    })
    .await
}

fn alert(error: &std::io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

#[tokio::test]
async fn requests_over_tls_are_forwarded_and_the_upstream_is_told() {
    let (app, shown) = (mirror().await, certificate(&["app.test"]));
    let world = SecureWorld::with(&app, &["app.test"], &[&shown]);
    for version in [&TLS12, &TLS13] {
        let caller = Caller::new(&[&shown], &[version]).offering(&["http/1.1"]);
        let mut client = world.client(&caller, "app.test").await.unwrap();
        for _ in 0..2 {
            let seen = client.ask(&get("app.test")).await.body;
            assert_eq!(header(&seen, "x-forwarded-proto"), Some("https"), "{seen}");
            let port = world.https.port().to_string();
            assert_eq!(header(&seen, "x-forwarded-port"), Some(&*port));
        }
    }
}

#[tokio::test]
async fn a_name_without_a_certificate_is_refused_and_sees_none() {
    let (app, shown) = (
        App::named("one").await,
        certificate(&["app.test", "*.wild.test"]),
    );
    let world = SecureWorld::with(&app, &["app.test"], &[&shown]);
    let caller = Caller::trusting(&[&shown]);
    let nameless = caller.but(|config| config.enable_sni = false);
    for (caller, name) in [
        (&caller, "other.test"),
        (&caller, "sub.app.test"),
        (&caller, "two.labels.wild.test"),
        (&caller, "wild.test"),
        (&nameless, "app.test"),
    ] {
        let error = world.client(caller, name).await.err().unwrap();
        assert_eq!(
            alert(&error),
            Some(AlertDescription::UnrecognisedName),
            "{name}: {error}"
        );
    }
    assert!(world.client(&caller, "APP.test").await.is_ok());
    assert!(world.client(&caller, "any.wild.test").await.is_ok());
    assert_eq!(app.connections(), 0);
}

#[tokio::test]
async fn a_host_the_certificate_does_not_cover_is_misdirected() {
    let app = App::named("one").await;
    let (own, other) = (
        certificate(&["app.test", "www.app.test"]),
        certificate(&["other.test"]),
    );
    let hosts = ["app.test", "www.app.test", "other.test"];
    let world = SecureWorld::with(&app, &hosts, &[&own, &other]);
    let caller = Caller::trusting(&[&own, &other]);
    let mut client = world.client(&caller, "app.test").await.unwrap();
    for (host, status) in [
        ("app.test", 200),
        ("APP.test.:8443", 200),
        ("www.app.test", 200),
        ("other.test", 421),
        ("nobody.test", 421),
    ] {
        let reply = client.ask(&get(host)).await;
        assert_eq!(reply.status, status, "{host}");
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_name_its_host_is_still_shown_for_it() {
    let (app, shown) = (App::named("one").await, certificate(&["elsewhere.test"]));
    let world = SecureWorld::with(&app, &["app.test"], &[]);
    let mut certificates = mini_proxy::Certificates::default();
    certificates.insert("app.test", Arc::clone(&shown));
    world.handle.set_certificates(certificates);
    let error = world
        .client(&Caller::trusting(&[&shown]), "app.test")
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

#[tokio::test]
async fn sessions_are_resumed_on_every_thread() {
    let (app, shown) = (App::named("one").await, certificate(&["app.test"]));
    let world = SecureWorld::start(settings(2), &[&shown]);
    world.serve(
        &["app.test"],
        Service::serving("app", [app.upstream.clone()]),
    );
    for version in [&TLS12, &TLS13] {
        let caller = Caller::new(&[&shown], &[version]);
        let mut kinds = Vec::new();
        for _ in 0..12 {
            let mut client = world.client(&caller, "app.test").await.unwrap();
            // The ticket of TLS 1.3 comes with the first bytes after the handshake.
            assert_eq!(client.ask(&get("app.test")).await.status, 200);
            kinds.push(
                client
                    .stream
                    .get_ref()
                    .get_ref()
                    .1
                    .handshake_kind()
                    .unwrap(),
            );
        }
        // The kernel spreads the connections; all but the first resume, whichever thread they come to.
        assert_ne!(kinds.remove(0), HandshakeKind::Resumed);
        assert!(
            kinds.iter().all(|kind| *kind == HandshakeKind::Resumed),
            "{kinds:?}"
        );
    }
}

#[tokio::test]
async fn a_resumed_session_is_no_way_around_a_certificate_that_has_gone() {
    let (app, shown) = (App::named("one").await, certificate(&["app.test"]));
    let world = SecureWorld::with(&app, &["app.test"], &[&shown]);
    let caller = Caller::trusting(&[&shown]);
    let mut open = world.client(&caller, "app.test").await.unwrap();
    assert_eq!(open.ask(&get("app.test")).await.status, 200);
    world.handle.set_certificates(certificates(&[]));
    let error = world.client(&caller, "app.test").await.err().unwrap();
    assert_eq!(alert(&error), Some(AlertDescription::UnrecognisedName));
    assert_eq!(
        open.ask(&get("app.test")).await.status,
        200,
        "what is open stays"
    );
}

#[tokio::test]
async fn new_certificates_are_shown_from_the_next_handshake_on() {
    let app = App::named("one").await;
    let (old, new) = (certificate(&["app.test"]), certificate(&["app.test"]));
    let world = SecureWorld::with(&app, &["app.test"], &[&old]);
    assert!(
        world
            .client(&Caller::trusting(&[&old]), "app.test")
            .await
            .is_ok()
    );
    world.handle.set_certificates(certificates(&[&new]));
    assert!(
        world
            .client(&Caller::trusting(&[&old]), "app.test")
            .await
            .is_err()
    );
    assert!(
        world
            .client(&Caller::trusting(&[&new]), "app.test")
            .await
            .is_ok()
    );
    assert_eq!(*world.handle.certificates(), certificates(&[&new]));
}

#[tokio::test]
async fn a_challenge_is_answered_by_the_handshake_and_nothing_else() {
    let (app, shown) = (App::named("one").await, certificate(&["app.test"]));
    let world = SecureWorld::with(&app, &["app.test"], &[&shown]);
    let challenge = Arc::new(Certificate::for_challenge("app.test", &[7; 32]).unwrap());
    let mut pending = certificates(&[&shown]);
    pending.answer_challenge("app.test", Arc::clone(&challenge));
    world.handle.set_certificates(pending);
    let authority = Caller::trusting(&[&shown])
        .offering(&["acme-tls/1"])
        .but(|config| {
            // As an authority does: the certificate is looked at, not trusted.
            config
                .dangerous()
                .set_certificate_verifier(Arc::new(crate::secure::Anything));
        });
    let mut stream = world.connect(&authority, "app.test").await.unwrap();
    {
        let (_, session) = stream.get_ref();
        assert_eq!(session.alpn_protocol(), Some(&b"acme-tls/1"[..]));
        assert_eq!(session.peer_certificates().unwrap(), challenge.chain());
    }
    let mut rest = Vec::new();
    patiently("the end", stream.read_to_end(&mut rest))
        .await
        .unwrap();
    assert_eq!(rest, b"");
    let visitor = Caller::trusting(&[&shown]).offering(&["http/1.1"]);
    let mut visitor = world.client(&visitor, "app.test").await.unwrap();
    assert_eq!(visitor.ask(&get("app.test")).await.status, 200);
    let error = world
        .connect(&authority, "www.app.test")
        .await
        .err()
        .unwrap();
    assert_eq!(alert(&error), Some(AlertDescription::UnrecognisedName));
}

#[tokio::test]
async fn a_client_that_does_not_shake_hands_is_let_go() {
    let settings = ProxySettings {
        tls_handshake_timeout: Duration::from_millis(50),
        ..settings(1)
    };
    let shown = certificate(&["app.test"]);
    let world = SecureWorld::start(settings, &[&shown]);
    let mut silent = Client::connect(world.https).await;
    assert_eq!(silent.rest().await, "");
    // A record that announces more than ever comes.
    let mut slow = TcpStream::connect(world.https).await.unwrap();
    slow.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    let mut rest = Vec::new();
    let _ = patiently("the end", slow.read_to_end(&mut rest)).await;
}

async fn plain(world: &SecureWorld, request: &str) -> Reply {
    Client::connect(world.http).await.ask(request).await
}

#[tokio::test]
async fn plain_http_goes_to_https_where_there_is_a_certificate() {
    let (app, shown) = (
        App::named("one").await,
        certificate(&["app.test", "*.wild.test"]),
    );
    let hosts = ["app.test", "a.wild.test", "bare.test"];
    let world = SecureWorld::with(&app, &hosts, &[&shown]);
    let port = world.https.port();
    for host in ["app.test", "a.wild.test"] {
        let reply = plain(&world, &get(&format!("{host}:80"))).await;
        assert_eq!(reply.status, 308);
        let location = format!("https://{host}:{port}/path?query=1");
        assert_eq!(reply.header("location"), Some(&*location));
        assert_eq!(reply.header("strict-transport-security"), None);
    }
    assert_eq!(plain(&world, &get("bare.test")).await.body, "one");
    assert_eq!(plain(&world, &get("nobody.test")).await.status, 404);
    // A service can choose to be served both ways.
    let service = Service {
        plain_http: PlainHttp::Serve,
        ..Service::serving("app", [app.upstream.clone()])
    };
    world.serve(&hosts, service);
    assert_eq!(plain(&world, &get("app.test")).await.body, "one");
}

#[tokio::test]
async fn an_http_challenge_comes_before_routes_and_redirects() {
    let (app, shown) = (App::named("one").await, certificate(&["app.test"]));
    let world = SecureWorld::with(&app, &["app.test"], &[&shown]);
    let pending = HashMap::from([("tok-1".to_owned(), "tok-1.thumb".to_owned())]);
    world.handle.set_http_challenges(pending);
    let ask = |host: &str, token: &str| {
        format!("GET /.well-known/acme-challenge/{token} HTTP/1.1\r\nHost: {host}\r\n\r\n")
    };
    for host in ["app.test", "nobody.test", "10.0.0.1"] {
        let reply = plain(&world, &ask(host, "tok-1")).await;
        assert_eq!((reply.status, &*reply.body), (200, "tok-1.thumb"), "{host}");
    }
    // One that is not ours is the app's, and not redirected either.
    let reply = plain(&world, &ask("app.test", "tok-2")).await;
    assert_eq!((reply.status, &*reply.body), (200, "one"));
    world.handle.set_http_challenges(HashMap::new());
    assert_eq!(
        plain(&world, &ask("nobody.test", "tok-1")).await.status,
        404
    );
}

#[tokio::test]
async fn hsts_is_said_over_https_when_the_service_asks_for_it() {
    let (app, shown) = (App::named("one").await, certificate(&["app.test"]));
    let world = SecureWorld::with(&app, &["app.test"], &[&shown]);
    let caller = Caller::trusting(&[&shown]);
    let mut client = world.client(&caller, "app.test").await.unwrap();
    let said = |reply: &Reply| reply.header("strict-transport-security").map(str::to_owned);
    assert_eq!(said(&client.ask(&get("app.test")).await), None);
    let service = Service {
        hsts: Some(Hsts::new(Duration::from_secs(60), true, false)),
        plain_http: PlainHttp::Serve,
        ..Service::serving("app", [app.upstream.clone()])
    };
    world.serve(&["app.test"], service);
    let expected = Some("max-age=60; includeSubDomains".to_owned());
    assert_eq!(said(&client.ask(&get("app.test")).await), expected);
    assert_eq!(said(&plain(&world, &get("app.test")).await), None);
}

#[tokio::test]
async fn hsts_is_said_by_our_own_pages_of_a_host_as_well() {
    let shown = certificate(&["app.test"]);
    let world = SecureWorld::start(settings(1), &[&shown]);
    let hsts = Some(Hsts::new(Duration::from_secs(60), false, false));
    let mut table = mini_proxy::RouteTable::default();
    let host = || "app.test".parse().unwrap();
    let stopped = Service {
        hsts: hsts.clone(),
        state: mini_proxy::ServiceState::Stopped,
        plain_http: PlainHttp::Serve,
        ..Service::serving("app", [])
    };
    let closed = Service {
        policy: Arc::new(mini_proxy::Policy {
            max_body_bytes: Some(0),
            ..mini_proxy::Policy::default()
        }),
        ..stopped.clone()
    };
    let moved = mini_proxy::Redirect {
        name: "app".to_owned(),
        status: mini_proxy::RedirectStatus::Found,
        to: "/new".parse().unwrap(),
        hsts,
        policy: Arc::default(),
    };
    for (prefix, target) in [
        ("/stopped", Arc::new(stopped).into()),
        ("/closed", Arc::new(closed).into()),
        ("/moved", mini_proxy::Target::from(Arc::new(moved))),
    ] {
        let route = mini_proxy::PathRoute {
            prefix: prefix.parse().unwrap(),
            is_stripped: false,
            target,
        };
        table.insert_path(host(), route);
    }
    world.handle.set_table(table);
    let caller = Caller::trusting(&[&shown]);
    let mut client = world.client(&caller, "app.test").await.unwrap();
    for (path, status) in [
        ("/stopped", 503),
        ("/closed", 413),
        ("/moved", 302),
        ("/x", 404),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: app.test\r\n");
        let request = match status {
            413 => format!("{request}Content-Length: 1\r\n\r\nx"),
            _ => format!("{request}\r\n"),
        };
        let reply = client.ask(&request).await;
        assert_eq!(reply.status, status, "{reply:?}");
        let said = reply.header("strict-transport-security");
        assert_eq!(said, Some("max-age=60"), "{path}");
        let reply = plain(&world, &request).await;
        let said = reply.header("strict-transport-security");
        assert_eq!((reply.status, said), (status, None), "{path}");
    }
}

#[tokio::test]
async fn stopping_lets_a_request_over_tls_finish() {
    let (asked, mut was_asked) = tokio::sync::mpsc::channel(1);
    let (finish, may_finish) = tokio::sync::watch::channel(false);
    let app = App::http("slow", move |_| {
        let (asked, mut may_finish) = (asked.clone(), may_finish.clone());
        async move {
            asked.send(()).await.unwrap();
            may_finish.wait_for(|may| *may).await.unwrap();
            hyper::Response::new("done".into())
        }
    })
    .await;
    let shown = certificate(&["app"]);
    let world = SecureWorld::with(&app, &["app"], &[&shown]);
    let caller = Caller::trusting(&[&shown]);
    let mut idle = world.client(&caller, "app").await.unwrap();
    let mut busy = world.client(&caller, "app").await.unwrap();
    busy.send(GET).await;
    patiently("the request", was_asked.recv()).await;
    let stopping = tokio::spawn(world.proxy.shutdown(Duration::from_secs(60)));
    assert_eq!(idle.rest().await, "");
    finish.send(true).unwrap();
    assert_eq!(busy.reply().await.body, "done");
    assert_eq!(busy.rest().await, "");
    patiently("the end", stopping).await.unwrap();
}

#[tokio::test]
async fn a_websocket_over_tls_echoes_and_ends_when_either_side_does() {
    let app = App::raw("echo", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        read_head(&mut stream).await;
        let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nwelcome";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            stream.write_all(&buffer[..read]).await.unwrap();
            if buffer.starts_with(b"bye") {
                return;
            }
        }
    })
    .await;
    let shown = certificate(&["app"]);
    let world = SecureWorld::with(&app, &["app"], &[&shown]);
    let caller = Caller::trusting(&[&shown]);
    let upgrade =
        "GET / HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    for last in ["bye", ""] {
        let mut client = world.client(&caller, "app").await.unwrap();
        client.send(&format!("{upgrade}early")).await;
        assert!(client.head().await.starts_with("HTTP/1.1 101 "));
        assert_eq!(client.read_text(12).await, "welcomeearly");
        client.send("more").await;
        assert_eq!(client.read_text(4).await, "more");
        assert_eq!(world.handle.in_flight("echo"), 1);
        if last.is_empty() {
            client.stream.shutdown().await.unwrap();
        } else {
            client.send(last).await;
        }
        assert_eq!(client.rest().await, last);
        drop(client);
    }
    world.handle.set_table(mini_proxy::RouteTable::default());
    patiently("the drain", world.handle.wait_drained("echo")).await;
}
