//! What upstreams may answer over HTTP/1.1, by the sections of RFC 9112 and RFC 9110; and what a client gets of it, over either HTTP.
//!
//! Each case asks an app that says what is under trial, by one client, and then has another client ask for something else: whatever was
//! said before, that one gets its own answer, over the same connection to the app or over a new one.

mod chunks;
mod closing;
mod early;
mod fields;
mod heads;
mod interims;
mod kept;
mod lengths;
mod pieces;
mod seen;

use crate::http2::prior_knowledge;
use crate::world::{App, PATIENCE, World, read_head};
use futures_util::future::join_all;
use seen::Seen;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What the app does after it has said what is under trial.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    /// Waits for the next request.
    Stays,
    Closes,
    /// Breaks its connection off.
    Resets,
}

/// What an app says to a request, and what it does then.
#[derive(Clone, Debug)]
struct Said {
    bytes: Vec<u8>,
    then: Then,
}

impl From<&str> for Said {
    fn from(text: &str) -> Said {
        Said::from(text.as_bytes())
    }
}

impl From<String> for Said {
    fn from(text: String) -> Said {
        Said::from(text.as_bytes())
    }
}

impl From<&[u8]> for Said {
    fn from(bytes: &[u8]) -> Said {
        Said {
            bytes: bytes.to_vec(),
            then: Then::Stays,
        }
    }
}

fn closing(said: impl Into<Said>) -> Said {
    Said {
        then: Then::Closes,
        ..said.into()
    }
}

fn resetting(said: impl Into<Said>) -> Said {
    Said {
        then: Then::Resets,
        ..said.into()
    }
}

/// What becomes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Outcome {
    /// Its client gets all of it, and the connection to the app takes the next request.
    Kept(u16, &'static str),
    /// Its client gets all of it, and the next request goes over another connection.
    Closed(u16, &'static str),
    /// Its client gets this beginning or less of it, and sees that it breaks off.
    Broken(u16, &'static str),
    /// What was said is no HTTP: a 502.
    Refused,
    /// The app broke off: a 502.
    Lost,
    /// Nobody comes any further.
    Stuck,
}

impl Outcome {
    fn is_met_by(&self, came: &Outcome) -> bool {
        match (self, came) {
            // What fails at once may fail before anything has been written.
            (Broken(_, all), Broken(0, came)) => all.starts_with(came),
            // And then the client can still be told.
            (Broken(..), Refused) => true,
            (Broken(status, all), Broken(status_came, came)) => {
                status == status_came && all.starts_with(came)
            }
            _ => self == came,
        }
    }
}

use Outcome::{Broken, Closed, Kept, Lost, Refused, Stuck};

/// A case: what it is about, what the app says, what becomes of it.
type Case = (&'static str, Said, Outcome);

fn case(about: &'static str, said: impl Into<Said>, outcome: Outcome) -> Case {
    (about, said.into(), outcome)
}

/// Goes through cases with clients of either HTTP, and tells of all that came out otherwise.
async fn check(cases: Vec<Case>) {
    check_asked("POST", cases).await;
}

/// The same for requests of this method. None has a body; those of a method that may be repeated may be asked twice.
async fn check_asked(method: &'static str, cases: Vec<Case>) {
    let mut wrong = Vec::new();
    // Each has a proxy with a thread of its own: not all of them at once.
    for some in cases.chunks(8) {
        let tried = some.iter().flat_map(|case| {
            [false, true].map(|is_http2| async move {
                let (about, said, outcome) = case;
                let came = timeout(PATIENCE / 2, come(method, said, is_http2));
                let came = came.await.unwrap_or(Stuck);
                let http = if is_http2 { "HTTP/2" } else { "HTTP/1.1" };
                (!outcome.is_met_by(&came)).then(|| {
                    let said = said.bytes.get(..said.bytes.len().min(200));
                    let said = said.unwrap_or_default().escape_ascii();
                    format!("{about} ({method}, {http}): {came:?}, not {outcome:?}: {said}")
                })
            })
        });
        wrong.extend(join_all(tried).await.into_iter().flatten());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What becomes of what the app says to a request of this method.
async fn come(method: &str, said: &Said, is_http2: bool) -> Outcome {
    let app = saying(said.clone()).await;
    let world = World::with(&[&app]);
    let seen = if is_http2 {
        let mut sender = prior_knowledge(world.address).await;
        let request = hyper::Request::builder().method(method).uri("http://app/");
        let request = request.body(http_body_util::Full::default()).unwrap();
        Seen::over_http2(&mut sender, request).await
    } else {
        let length = if method == "POST" {
            "Content-Length: 0\r\n"
        } else {
            ""
        };
        let mut client = world.client().await;
        client
            .send(&format!("{method} / HTTP/1.1\r\nHost: app\r\n{length}\r\n"))
            .await;
        Seen::over_http1(&mut client, method == "HEAD").await
    };
    let before = app.connections();
    let next = world.ask("GET /next HTTP/1.1\r\nHost: app\r\n\r\n").await;
    assert_eq!(
        (next.status, next.body.as_str()),
        (200, "next"),
        "after {said:?}"
    );
    let is_kept = app.connections() == before;
    outcome(&seen, is_kept)
}

fn outcome(seen: &Seen, is_kept: bool) -> Outcome {
    let body: &'static str = seen.body.clone().leak();
    match (seen.error(), seen.is_whole) {
        (Some("http_protocol_error"), _) if !is_kept => Refused,
        (Some("connection_terminated"), _) if !is_kept => Lost,
        (Some(error), _) => panic!("{error}, and the connection is kept: {is_kept}"),
        (None, true) if is_kept => Kept(seen.status, body),
        (None, true) => Closed(seen.status, body),
        (None, false) => {
            assert!(
                !is_kept,
                "an answer that breaks off leaves a connection behind"
            );
            Broken(seen.status, body)
        }
    }
}

const NEXT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext";

/// An app that says this to each request, once to each connection; and what it has to say to those for `/next`.
async fn saying(said: Said) -> App {
    App::raw("one", move |stream, _| {
        let said = said.clone();
        async move {
            let mut stream = BufReader::new(stream);
            loop {
                let head = read_head(&mut stream).await;
                if head.is_empty() {
                    return;
                }
                if head.contains(" /next HTTP") {
                    let _ = stream.write_all(NEXT.as_bytes()).await;
                    continue;
                }
                // Who is not listened to any more is not told.
                let _ = stream.write_all(&said.bytes).await;
                match said.then {
                    Then::Stays => {}
                    Then::Closes => return,
                    Then::Resets => return reset(stream),
                }
            }
        }
    })
    .await
}

/// Breaks a connection off.
fn reset(stream: BufReader<TcpStream>) {
    let stream = stream.into_inner();
    let socket = socket2::SockRef::from(&stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

/// Reads what comes until the connection ends.
async fn until_closed(stream: &mut BufReader<TcpStream>) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    rest
}

/// What one client gets of an app that says this to a request of these lines.
async fn seen(said: impl Into<Said>, request: &str) -> Seen {
    let app = saying(said.into()).await;
    let world = World::with(&[&app]);
    let mut client = world.client().await;
    client.send(request).await;
    Seen::over_http1(&mut client, request.starts_with("HEAD")).await
}

/// An answer that is framed by chunks, with these bytes behind its head.
fn chunked(chunks: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")
}

/// An answer with these fields, and a body of five bytes.
fn with_fields(fields: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello")
}
