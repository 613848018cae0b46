//! Interim answers of an upstream reach the client before the answer, whole and in order, or not at all.

use crate::secure::{Caller, SecureWorld, certificate};
use crate::world::{App, Client, GET, World, header, read_head};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::watch;

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An app that says these texts for each request, all at once.
async fn saying(text: String) -> App {
    App::raw("one", move |stream, _| {
        let text = text.clone();
        async move {
            let mut stream = BufReader::new(stream);
            while !read_head(&mut stream).await.is_empty() {
                stream.write_all(text.as_bytes()).await.unwrap();
            }
        }
    })
    .await
}

/// An app that says its hints, and answers when it is told that they have come.
async fn hinting() -> (App, watch::Sender<bool>) {
    let (come, has_come) = watch::channel(false);
    let app = App::raw("one", move |stream, _| {
        let mut has_come = has_come.clone();
        async move {
            let mut stream = BufReader::new(stream);
            while !read_head(&mut stream).await.is_empty() {
                let hints = format!("{HINTS}\r\n");
                stream.write_all(hints.as_bytes()).await.unwrap();
                has_come.wait_for(|has_come| *has_come).await.unwrap();
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    (app, come)
}

/// What comes before the answer, and the body of that.
async fn answers<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client<S>,
) -> (Vec<String>, String) {
    let mut interims = vec![];
    loop {
        let head = client.head().await;
        if head.starts_with("HTTP/1.1 1") {
            interims.push(head);
            continue;
        }
        let length = header(&head, "content-length").unwrap().parse().unwrap();
        return (interims, client.read_text(length).await);
    }
}

#[tokio::test]
async fn hints_come_while_the_answer_is_still_waited_for() {
    let (app, come) = hinting().await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client.send(GET).await;
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n";
    assert_eq!(client.head().await, hints);
    come.send(true).unwrap();
    assert_eq!(client.reply().await.body, "ok");
    // The connection goes on as usual.
    client.send(GET).await;
    assert_eq!(
        answers(&mut client).await,
        (vec![hints.into()], "ok".into())
    );
    assert_eq!(app.connections(), 1);
    assert_eq!(world.counts().by_class, [0, 2, 0, 0, 0]);
}

#[tokio::test]
async fn over_tls_they_come_as_well() {
    let (app, come) = hinting().await;
    let shown = certificate(&["app"]);
    let world = SecureWorld::with(&app, &["app"], &[&shown]);
    let caller = Caller::trusting(&[&shown]);
    let mut client = world.client(&caller, "app").await.unwrap();
    client.send(GET).await;
    assert!(
        client
            .head()
            .await
            .starts_with("HTTP/1.1 103 Early Hints\r\n")
    );
    come.send(true).unwrap();
    assert_eq!(client.reply().await.body, "ok");
}

#[tokio::test]
async fn what_concerns_only_the_upstreams_connection_stays_there() {
    let hop = "Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 5\r\n";
    let interims = format!("HTTP/1.1 100 Continue\r\n\r\n{HINTS}{hop}\r\n");
    let app = saying(interims + OK).await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client.send(GET).await;
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n";
    assert_eq!(
        answers(&mut client).await,
        (vec![hints.into()], "ok".into())
    );
}

#[tokio::test]
async fn pipelined_requests_each_get_theirs_before_their_answer() {
    let app = saying(format!("{HINTS}\r\nHTTP/1.1 102 Processing\r\n\r\n{OK}")).await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client.send(&GET.repeat(20)).await;
    for _ in 0..20 {
        let (interims, body) = answers(&mut client).await;
        let statuses: Vec<&str> = interims.iter().map(|head| &head[9..12]).collect();
        assert_eq!((statuses, body.as_str()), (vec!["103", "102"], "ok"));
    }
}

#[tokio::test]
async fn http_1_0_knows_none() {
    let app = saying(format!("{HINTS}\r\n{OK}")).await;
    let world = World::with(&[&app]);
    let reply = world.ask("GET / HTTP/1.0\r\nHost: app\r\n\r\n").await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "ok"));
}

#[tokio::test]
async fn an_upstream_that_does_not_stop_is_cut_short() {
    let endless = format!("{HINTS}\r\n").repeat(20);
    let app = saying(endless + OK).await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    for _ in 0..2 {
        client.send(GET).await;
        let (interims, body) = answers(&mut client).await;
        assert_eq!((interims.len(), body.as_str()), (16, "ok"));
    }
}

#[tokio::test]
async fn one_that_is_too_large_is_left_out() {
    let large = format!("{HINTS}X: {}\r\n\r\n", "x".repeat(20_000));
    let app = saying(format!("{large}{HINTS}\r\n{OK}")).await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client.send(GET).await;
    let (interims, body) = answers(&mut client).await;
    assert_eq!((interims.len(), body.as_str()), (1, "ok"));
}

#[tokio::test]
async fn a_client_that_waits_for_100_gets_both() {
    let app = App::raw("one", |stream, _| async move {
        let mut stream = BufReader::new(stream);
        read_head(&mut stream).await;
        let hints = format!("{HINTS}\r\n");
        stream.write_all(hints.as_bytes()).await.unwrap();
        let mut body = [0; 4];
        stream.read_exact(&mut body).await.unwrap();
        assert_eq!(&body, b"body");
        stream.write_all(OK.as_bytes()).await.unwrap();
    })
    .await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    let head = "POST / HTTP/1.1\r\nHost: app\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    client.send(head).await;
    let mut statuses = [client.head().await, client.head().await];
    statuses.sort();
    assert_eq!(statuses[0], "HTTP/1.1 100 Continue\r\n");
    assert!(statuses[1].starts_with("HTTP/1.1 103 Early Hints\r\n"));
    let reply = client.ask("body").await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "ok"));
}

#[tokio::test]
async fn hints_of_an_upgrade_come_before_it() {
    let switch =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello";
    let app = saying(format!("{HINTS}\r\n{switch}")).await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        .await;
    assert!(client.head().await.starts_with("HTTP/1.1 103 "));
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(client.read_text(5).await, "hello");
}
