//! A client that ends its sending side while its request is in flight gets its answer; one that has left does not keep an
//! upstream busy.

use crate::secure::{Caller, SecureWorld, certificate};
use crate::world::{App, GET, World, patiently, read_head, settings};
use mini_proxy::ProxySettings;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::{mpsc, watch};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const LONG: Duration = Duration::from_secs(3600);

/// An app that answers requests, the body of which ends with `.` if there is one, when it is told that their client has ended.
async fn patient() -> (App, watch::Sender<bool>) {
    let (ended, has_ended) = watch::channel(false);
    let app = App::raw("one", move |stream, _| {
        let mut has_ended = has_ended.clone();
        async move {
            let mut stream = BufReader::new(stream);
            loop {
                let head = read_head(&mut stream).await;
                if head.is_empty() {
                    return;
                }
                while head.starts_with("POST") && stream.read_u8().await.unwrap() != b'.' {}
                if head.contains("transfer-encoding") {
                    assert_eq!(read_head(&mut stream).await, "");
                    assert_eq!(read_head(&mut stream).await, "0\r\n");
                }
                has_ended.wait_for(|has_ended| *has_ended).await.unwrap();
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    (app, ended)
}

async fn check(request: &str, answers: usize) {
    let (app, ended) = patient().await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client.send(request).await;
    client.stream.shutdown().await.unwrap();
    ended.send(true).unwrap();
    let all = client.rest().await;
    assert_eq!(all.matches("HTTP/1.1 200 OK").count(), answers, "{all}");
    assert!(all.ends_with("\r\n\r\nok"), "{all}");
    world.route(&[]);
    patiently("the drain", world.handle.wait_drained("one")).await;
}

#[tokio::test]
async fn it_gets_its_answer() {
    check(GET, 1).await;
    check(
        "GET / HTTP/1.0\r\nHost: app\r\nConnection: keep-alive\r\n\r\n",
        0,
    )
    .await;
    check(&GET.repeat(3), 3).await;
    let head = "POST / HTTP/1.1\r\nHost: app\r\n";
    check(&format!("{head}Content-Length: 5\r\n\r\nbody."), 1).await;
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nbody.\r\n0\r\n\r\n");
    check(&chunked, 1).await;
    check(&format!("{chunked}{GET}"), 2).await;
}

#[tokio::test]
async fn over_tls_as_well() {
    let (app, ended) = patient().await;
    let shown = certificate(&["app"]);
    let world = SecureWorld::with(&app, &["app"], &[&shown]);
    let caller = Caller::trusting(&[&shown]);
    let mut client = world.client(&caller, "app").await.unwrap();
    client.send(GET).await;
    client.stream.shutdown().await.unwrap();
    ended.send(true).unwrap();
    assert!(client.rest().await.ends_with("\r\n\r\nok"));
}

#[tokio::test]
async fn a_request_that_is_cut_off_reaches_its_end_at_once() {
    let (app, _ended) = patient().await;
    let settings = ProxySettings {
        half_closed_timeout: LONG,
        ..settings(1)
    };
    let world = World::with_settings(settings, &[&app]);
    for cut in [
        "GET / HTTP/1.1\r\nHo",
        "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nbo",
    ] {
        let mut client = world.client().await;
        client.send(cut).await;
        client.stream.shutdown().await.unwrap();
        let rest = client.rest().await;
        assert!(!rest.contains("200 OK"), "{rest}");
    }
}

/// An app that does not answer, and tells when it is asked and when it need not answer any more.
async fn silent() -> (App, mpsc::Receiver<&'static str>) {
    let (tell, told) = mpsc::channel(2);
    let app = App::raw("silent", move |stream, _| {
        let tell = tell.clone();
        async move {
            let mut stream = BufReader::new(stream);
            read_head(&mut stream).await;
            tell.send("asked").await.unwrap();
            assert!(matches!(stream.read(&mut [0]).await, Ok(0) | Err(_)));
            tell.send("closed").await.unwrap();
        }
    })
    .await;
    (app, told)
}

#[tokio::test]
async fn when_its_time_is_over_its_upstream_is_let_go() {
    let (app, mut told) = silent().await;
    let settings = ProxySettings {
        half_closed_timeout: Duration::from_millis(20),
        ..settings(1)
    };
    let world = World::with_settings(settings, &[&app]);
    let mut client = world.client().await;
    client.send(GET).await;
    assert_eq!(patiently("the request", told.recv()).await, Some("asked"));
    client.stream.shutdown().await.unwrap();
    assert_eq!(patiently("the end", told.recv()).await, Some("closed"));
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn one_that_breaks_off_has_left_at_once() {
    let (app, mut told) = silent().await;
    let settings = ProxySettings {
        half_closed_timeout: LONG,
        ..settings(1)
    };
    let world = World::with_settings(settings, &[&app]);
    let mut client = world.client().await;
    client.send(GET).await;
    assert_eq!(patiently("the request", told.recv()).await, Some("asked"));
    client.leave();
    assert_eq!(patiently("the end", told.recv()).await, Some("closed"));
}
