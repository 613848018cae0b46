//! Connections that are kept: what comes over one while it waits, and one that ends at the worst moment (RFC 9112 section 9.3.1).

use super::{NEXT, reset};
use crate::world::{App, GET, World, patiently, read_head};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc::{self, Receiver, Sender};

const POST: &str = "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello";

/// What an app does with a connection that waits for a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Idly {
    Says(&'static str),
    Closes,
    /// Ends its own side.
    Finishes,
    Resets,
}

/// An app that does this with its first connection, once it has answered and is told; and says when that is done.
async fn idly(what: Idly) -> (App, Sender<()>, Receiver<()>) {
    let (tell, told) = mpsc::channel(1);
    let (say, said) = mpsc::channel(1);
    let told = Arc::new(tokio::sync::Mutex::new(told));
    let app = App::raw("one", move |stream, number| {
        let (told, say) = (Arc::clone(&told), say.clone());
        async move {
            let mut stream = BufReader::new(stream);
            if number == 0 {
                read_head(&mut stream).await;
                stream.write_all(NEXT.as_bytes()).await.unwrap();
                told.lock().await.recv().await.unwrap();
                let mut stays = Some(stream);
                match (what, &mut stays) {
                    (Idly::Says(text), Some(stream)) => {
                        stream.write_all(text.as_bytes()).await.unwrap()
                    }
                    (Idly::Finishes, Some(stream)) => stream.shutdown().await.unwrap(),
                    (Idly::Resets, stays) => reset(stays.take().unwrap()),
                    (_, stays) => drop(stays.take()),
                }
                say.send(()).await.unwrap();
                return std::future::pending().await;
            }
            while !read_head(&mut stream).await.is_empty() {
                let again = NEXT.replace("next", "good");
                stream.write_all(again.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    (app, tell, said)
}

#[tokio::test]
async fn what_comes_over_one_that_waits_goes_to_nobody() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for what in [
        Idly::Says(evil),
        Idly::Says(
            "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        ),
        Idly::Says("HTTP/1.1 103 Early Hints\r\n\r\n"),
        Idly::Says("\r\n"),
        Idly::Says("H"),
        Idly::Says("\0"),
        Idly::Closes,
        Idly::Finishes,
        Idly::Resets,
    ] {
        for request in [GET, POST] {
            let (app, tell, mut said) = idly(what).await;
            let world = World::with(&[&app]);
            assert_eq!(world.ask(GET).await.body, "next");
            tell.send(()).await.unwrap();
            patiently("its turn", said.recv()).await.unwrap();
            assert_eq!(world.ask(request).await.body, "good", "{what:?}: {request}");
            assert_eq!(app.connections(), 2, "{what:?}: {request}");
        }
    }
}

/// An app that answers the first request of each connection, and to a second says this and ends, unless it is a repeated one:
/// the names of the methods that it was asked by from then on.
async fn at_the_worst_moment(says: &'static str) -> (App, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let asking = Arc::clone(&asked);
    let app = App::raw("one", move |stream, number| {
        let asked = Arc::clone(&asking);
        async move {
            let mut stream = BufReader::new(stream);
            for turn in 0.. {
                let head = read_head(&mut stream).await;
                if head.is_empty() {
                    return;
                }
                if number > 0 || turn > 0 {
                    let method = head.split(' ').next().unwrap_or_default();
                    asked
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(method.to_owned());
                }
                if number == 0 && turn > 0 {
                    let _ = stream.write_all(says.as_bytes()).await;
                    return;
                }
                let answer = if head.starts_with("HEAD") {
                    NEXT.trim_end_matches("next")
                } else {
                    NEXT
                };
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    (app, asked)
}

/// The status that a request gets, and how often the app was asked.
async fn at_the_worst(says: &'static str, request: &str) -> (u16, usize) {
    let (app, asked) = at_the_worst_moment(says).await;
    let world = World::with(&[&app]);
    assert_eq!(world.ask(GET).await.body, "next");
    let mut client = world.client().await;
    client.send(request).await;
    let seen = super::Seen::over_http1(&mut client, request.starts_with("HEAD")).await;
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).len();
    (seen.status, asked)
}

#[tokio::test]
async fn one_that_ends_with_a_request_on_it_costs_only_those_that_may_not_be_repeated() {
    // RFC 9110 section 9.2.2.
    for (method, may) in [
        ("GET", true),
        ("HEAD", true),
        ("OPTIONS", true),
        ("TRACE", true),
        ("PUT", true),
        ("DELETE", true),
        ("POST", false),
        ("PATCH", false),
        ("LOCK", false),
        ("get", false),
    ] {
        let request = format!("{method} / HTTP/1.1\r\nHost: app\r\nContent-Length: 0\r\n\r\n");
        let expected = if may { (200, 2) } else { (502, 1) };
        assert_eq!(at_the_worst("", &request).await, expected, "{method}");
    }
    assert_eq!(at_the_worst("", POST).await, (502, 1));
    let put = POST.replace("POST", "PUT");
    assert_eq!(at_the_worst("", &put).await, (502, 1), "its body is gone");
}

#[tokio::test]
async fn one_that_ends_within_an_answer_has_begun_to_answer() {
    for says in [
        "H",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n",
    ] {
        assert_eq!(at_the_worst(says, GET).await, (502, 1), "{says:?}");
        assert_eq!(at_the_worst(says, POST).await, (502, 1), "{says:?}");
    }
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nne";
    assert_eq!(at_the_worst(half, GET).await, (200, 1));
}
