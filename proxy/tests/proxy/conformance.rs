//! HTTP/2 as RFC 9113 and RFC 7541 have it, case by case: what is sent, and the error that is named for it.

mod fields;
mod floods;
mod messages;
mod settings;
mod sizes;
mod streams;
mod windows;

use crate::frames::{
    END_HEADERS, END_STREAM, End, Framer, HEADERS, PROTOCOL_ERROR, PSEUDO, SETTINGS, block, frame,
};
use crate::world::{App, GET, World};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Response;
use std::future::pending;
use tokio::io::AsyncWriteExt as _;

/// An app that never answers what is asked below /hold, and answers with as many bytes as `/bytes/N` says.
async fn site() -> App {
    App::http("site", |request| async move {
        let path = request.uri().path().to_owned();
        if path == "/hold" {
            return pending().await;
        }
        let length = path
            .strip_prefix("/bytes/")
            .map(|length| length.parse().unwrap());
        let body = match length {
            Some(length) => Bytes::from(vec![b'x'; length]),
            None => request
                .into_body()
                .collect()
                .await
                .map(|body| body.to_bytes())
                .unwrap_or_default(),
        };
        Response::new(Full::from(body))
    })
    .await
}

/// For what a frame is too long, or its fields cannot be decoded, RFC 9113 has codes of their own. The library ends the connection
/// as it should, but says what is "for use when a more specific error code is not available" (section 7).
const UNSPECIFIC: End = connection(PROTOCOL_ERROR);

/// What the connection has to end with.
const fn connection(code: u32) -> End {
    End::Closed(Some(code))
}

fn with(changes: &[(&'static str, &'static str)]) -> Vec<u8> {
    let mut fields = PSEUDO.to_vec();
    for change in changes {
        match fields.iter_mut().find(|field| field.0 == change.0) {
            Some(field) => *field = *change,
            None => fields.push(*change),
        }
    }
    block(&fields)
}

/// A request that is complete, and one whose body is still to come; neither is answered.
fn held(stream: u32, flags: u8) -> Vec<u8> {
    let method = if flags & END_STREAM == 0 {
        "POST"
    } else {
        "GET"
    };
    let fields = with(&[(":method", method), (":path", "/hold")]);
    frame(HEADERS, END_HEADERS | flags, stream, &fields)
}

fn setting(id: u16, value: u32) -> Vec<u8> {
    let payload = [id.to_be_bytes().as_slice(), &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &payload)
}

/// The section, with what is tried; the frames; and what may come of them.
type Case<'a> = (&'a str, &'a [Vec<u8>], &'a [End]);

/// Sends frames, then a PING; each case has a connection of its own, and lists what may come of it.
async fn check(cases: &[Case<'_>]) {
    let app = site().await;
    let world = World::with(&[&app]);
    let mut wrong = Vec::new();
    for (name, frames, expected) in cases {
        let mut framer = Framer::connect(&world).await;
        // It may close before it has read all.
        let _ = framer.0.write_all(&frames.concat()).await;
        let mut end = End::GoesOn;
        // What becomes of a stream may be said only behind the answer to a PING, so that is asked for more than once.
        for _ in 0..4 {
            framer.ping().await;
            end = framer.end().await;
            if end != End::GoesOn {
                break;
            }
        }
        if !expected.contains(&end) {
            wrong.push(format!("{name}: {end:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let reply = world.ask(GET).await;
    assert_eq!(reply.status, 200, "others go on");
}
