//! What stands before an app: addresses, rates, maintenance, passwords, limits; and pages of the app's own.

use crate::policy::{set, world_with};
use crate::world::{App, GET, Reply, World, patiently, read_head, settings};
use http_body_util::Full;
use mini_proxy::{BasicAuth, Maintenance, Network, PasswordHash, Policy, ProxySettings, Rate};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;

/// base64 of `me:open sesame` and of `me:wrong`.
const RIGHT: &str = "bWU6b3BlbiBzZXNhbWU=";
const WRONG: &str = "bWU6d3Jvbmc=";

fn check(reply: &Reply, status: u16, what: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert!(reply.body.contains(what), "{what:?} in {}", reply.body);
    assert!(reply.header("proxy-status").is_some(), "{reply:?}");
}

fn network(address: &str, prefix: u8) -> Network {
    Network {
        address: address.parse().unwrap(),
        prefix,
    }
}

fn asking(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: app\r\n{lines}\r\n")
}

/// An app that answers with the lines of the head it got that `names` begin.
async fn telling(names: &'static [&'static str]) -> App {
    App::http("telling", move |request| async move {
        let headers = request.headers().iter();
        let told = headers.filter(|(name, _)| names.contains(&name.as_str()));
        let told = told.map(|(name, value)| format!("{name}={}\n", value.to_str().unwrap()));
        hyper::Response::new(Full::from(told.collect::<String>()))
    })
    .await
}

#[tokio::test]
async fn only_addresses_that_are_allowed_and_not_denied_may_ask() {
    let app = App::named("one").await;
    let only = |allow: &[Network], deny: &[Network]| Policy {
        allow: allow.to_vec(),
        deny: deny.to_vec(),
        ..Policy::default()
    };
    let (here, elsewhere) = (network("127.0.0.0", 8), network("192.0.2.0", 24));
    let world = world_with(only(&[here], &[]), &app);
    assert_eq!(world.ask(GET).await.body, "one");
    for (allow, deny) in [
        (vec![elsewhere], vec![]),
        (vec![], vec![here]),
        (vec![here], vec![here]),
    ] {
        set(&world, only(&allow, &deny), &app);
        check(&world.ask(GET).await, 403, "not open to you");
    }
    set(&world, only(&[], &[elsewhere]), &app);
    assert_eq!(world.ask(GET).await.body, "one");
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_told_when_to_come_again() {
    let app = App::named("one").await;
    let policy = Policy {
        rate: Some(Rate {
            count: 1,
            per: Duration::from_secs(3600),
            burst: 3,
        }),
        ..Policy::default()
    };
    // One rate for all threads, whichever of them a connection comes to.
    let world = World::start(settings(2));
    set(&world, policy.clone(), &app);
    for _ in 0..3 {
        assert_eq!(world.ask(GET).await.body, "one");
    }
    let refused = world.ask(GET).await;
    check(&refused, 429, "You ask too often");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((3590..=3600).contains(&wait), "{refused:?}");
    let counts = world.handle.counters().services["app"];
    assert_eq!(counts.by_class, [0, 3, 0, 1, 0]);
    // Another table with the same policy forgets nothing.
    set(&world, Policy::default(), &app);
    assert_eq!(world.ask(GET).await.body, "one");
    set(&world, policy, &app);
    check(&world.ask(GET).await, 429, "You ask too often");
}

#[tokio::test]
async fn an_app_that_is_worked_on_says_so_and_lets_some_in() {
    let app = App::named("one").await;
    let closed = |allow: &[Network], page: Option<&str>| Policy {
        maintenance: Some(Maintenance {
            retry_after: Duration::from_millis(599_001),
            allow: allow.to_vec(),
            page: page.map(Arc::from),
        }),
        ..Policy::default()
    };
    let world = world_with(closed(&[], None), &app);
    let reply = world.ask(GET).await;
    check(&reply, 503, "This app is being worked on");
    assert_eq!(reply.header("retry-after"), Some("600"));
    // On the same connection again, after a body nobody wants.
    let mut client = world.client().await;
    let post = "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello";
    check(&client.ask(post).await, 503, "being worked on");
    check(&client.ask(GET).await, 503, "being worked on");

    set(&world, closed(&[], Some("<h1>Back at noon</h1>")), &app);
    let own = world.ask(GET).await;
    assert_eq!(
        (own.status, own.body.as_str()),
        (503, "<h1>Back at noon</h1>")
    );
    assert_eq!(own.header("content-type"), Some("text/html; charset=utf-8"));
    let json = world.ask(&asking("Accept: application/json\r\n")).await;
    check(&json, 503, "\"status\":503");

    set(&world, closed(&[network("127.0.0.1", 32)], None), &app);
    assert_eq!(world.ask(GET).await.body, "one");
}

fn with_password(password: &str) -> Policy {
    let users = [("me".to_owned(), PasswordHash::of(password).unwrap())];
    Policy {
        auth: Some(Arc::new(BasicAuth {
            users: users.into(),
        })),
        ..Policy::default()
    }
}

#[tokio::test]
async fn a_password_is_asked_for_and_stays_with_us() {
    let app = telling(&["authorization", "x-forwarded-user"]).await;
    let world = world_with(with_password("open sesame"), &app);
    let with = |given: &str| asking(&format!("Authorization: Basic {given}\r\n"));
    let anonymous = world.ask(GET).await;
    check(&anonymous, 401, "asks for a password");
    assert_eq!(
        anonymous.header("www-authenticate"),
        Some("Basic realm=\"app\", charset=\"UTF-8\"")
    );
    check(&world.ask(&with(WRONG)).await, 401, "asks for a password");
    check(&world.ask(&with("?")).await, 401, "asks for a password");
    check(
        &world.ask(&asking("Authorization: Bearer x\r\n")).await,
        401,
        "asks for a password",
    );
    let mut client = world.client().await;
    for _ in 0..3 {
        let forged = format!("X-Forwarded-User: root\r\nAuthorization: Basic {RIGHT}\r\n");
        assert_eq!(
            client.ask(&asking(&forged)).await.body,
            "x-forwarded-user=me\n"
        );
    }
    let post = format!(
        "POST / HTTP/1.1\r\nHost: app\r\nAuthorization: Basic {RIGHT}\r\nContent-Length: 5\r\n\r\nhello"
    );
    assert_eq!(client.ask(&post).await.status, 200);

    // A changed password holds for the next request.
    set(&world, with_password("something else"), &app);
    check(&client.ask(&with(RIGHT)).await, 401, "asks for a password");
    set(&world, Policy::default(), &app);
    assert_eq!(
        client.ask(&with(RIGHT)).await.body,
        format!("authorization=Basic {RIGHT}\n")
    );
}

#[tokio::test]
async fn passwords_cannot_be_guessed_for_long() {
    let app = App::named("one").await;
    let world = world_with(with_password("open sesame"), &app);
    let mut client = world.client().await;
    let wrong = asking(&format!("Authorization: Basic {WRONG}\r\n"));
    for _ in 0..20 {
        check(&client.ask(&wrong).await, 401, "asks for a password");
    }
    // The time all this took may have made room for some more.
    let refused = loop {
        let reply = client.ask(&wrong).await;
        if reply.status != 401 {
            break reply;
        }
    };
    check(&refused, 429, "too many wrong passwords");
    assert!(refused.header("retry-after").is_some());
}

#[tokio::test]
async fn a_challenge_of_an_authority_is_answered_whatever_stands_before_the_app() {
    let app = App::named("one").await;
    let policy = Policy {
        maintenance: Some(Maintenance {
            retry_after: Duration::from_secs(1),
            allow: Vec::new(),
            page: None,
        }),
        deny: vec![network("0.0.0.0", 0)],
        ..with_password("open sesame")
    };
    let world = world_with(policy, &app);
    let answers = [("token".to_owned(), "token.thumbprint".to_owned())];
    world
        .handle
        .set_http_challenges(answers.into_iter().collect());
    let asked = "GET /.well-known/acme-challenge/token HTTP/1.1\r\nHost: app\r\n\r\n";
    let reply = world.ask(asked).await;
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (200, "token.thumbprint")
    );
    check(&world.ask(GET).await, 403, "not open to you");
}

#[tokio::test]
async fn only_so_many_requests_are_under_way() {
    let (go_on, may_go_on) = mpsc::channel::<()>(1);
    let may_go_on = Arc::new(tokio::sync::Mutex::new(may_go_on));
    let app = App::raw("slow", move |stream, _| {
        let may_go_on = Arc::clone(&may_go_on);
        async move {
            let mut stream = BufReader::new(stream);
            read_head(&mut stream).await;
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nfirst";
            stream.write_all(head.as_bytes()).await.unwrap();
            may_go_on.lock().await.recv().await;
            stream.write_all(b"last").await.unwrap();
        }
    })
    .await;
    let policy = Policy {
        max_in_flight: Some(1),
        ..Policy::default()
    };
    let world = World::start(settings(2));
    set(&world, policy, &app);
    let mut client = world.client().await;
    client.send(GET).await;
    client.head().await;
    assert_eq!(client.read_text(5).await, "first");
    for _ in 0..4 {
        let busy = world.ask(GET).await;
        check(&busy, 503, "This app is busy");
        assert_eq!(busy.header("retry-after"), Some("1"));
    }
    go_on.send(()).await.unwrap();
    assert_eq!(client.read_text(4).await, "last");
    drop(go_on);
    // The count goes down by the time the answer is through, not before its last byte is read here.
    let again = async {
        loop {
            let reply = world.ask(GET).await;
            if reply.status == 200 {
                return reply;
            }
        }
    };
    assert_eq!(
        patiently("room for one more", again).await.body,
        "firstlast"
    );
}

#[tokio::test]
async fn an_address_has_only_so_many_connections() {
    let app = App::named("one").await;
    let limited = ProxySettings {
        max_connections_per_address: Some(2),
        ..settings(2)
    };
    let world = World::with_settings(limited, &[&app]);
    let (mut first, mut second) = (world.client().await, world.client().await);
    assert_eq!(first.ask(GET).await.body, "one");
    assert_eq!(second.ask(GET).await.body, "one");
    let mut third = world.client().await;
    assert_eq!(third.rest().await, "");
    assert_eq!(first.ask(GET).await.body, "one");
    drop(first);
    let again = async {
        loop {
            let mut client = world.client().await;
            let _ = client.stream.write_all(GET.as_bytes()).await;
            if client.head().await.starts_with("HTTP/1.1 200") {
                return;
            }
        }
    };
    patiently("room for one more", again).await;
}

#[tokio::test]
async fn an_app_has_pages_of_its_own_for_our_faults_and_only_for_those() {
    let app = App::http("one", |_| async move {
        let mut answer = hyper::Response::new(Full::from("the app's own"));
        *answer.status_mut() = http::StatusCode::BAD_GATEWAY;
        answer
    })
    .await;
    let policy = Policy {
        pages: [(502, Arc::from("<p>Oh no: {{status}}</p>"))].into(),
        max_body_bytes: Some(1),
        ..Policy::default()
    };
    let world = world_with(policy.clone(), &app);
    assert_eq!(world.ask(GET).await.body, "the app's own");
    set(&world, policy, &App::absent("gone").await);
    let own = world.ask(&asking("Accept: text/html\r\n")).await;
    check(&own, 502, "<p>Oh no: 502</p>");
    assert_eq!(own.header("content-type"), Some("text/html; charset=utf-8"));
    let post = "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 2\r\n\r\nab";
    check(&world.ask(post).await, 413, "is too large");
}
