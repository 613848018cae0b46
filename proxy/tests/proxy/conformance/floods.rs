//! What costs a client little and a server much: RFC 9113 section 10.5, and the floods that had a CVE.

use super::{held, setting, site, with};
use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, End, Framer, HEADERS, PING,
    RST_STREAM, block, frame,
};
use crate::world::{GET, World};
use tokio::io::AsyncWriteExt as _;

/// Sends as much of a flood as is taken, and answers how the connection ended.
async fn flood(
    world: &World,
    begin: Vec<u8>,
    drop: impl Fn(u32) -> Vec<u8> + Send + 'static,
    drops: u32,
) -> End {
    let mut framer = Framer::connect(world).await;
    framer.0.write_all(&begin).await.unwrap();
    let (mut reader, mut writer) = framer.0.into_split();
    let sending = tokio::spawn(async move {
        for number in 0..drops {
            if writer.write_all(&drop(number)).await.is_err() {
                break;
            }
        }
        let _ = writer.write_all(&frame(PING, 0, 0, b"are you?")).await;
        writer
    });
    let end = crate::frames::end(&mut reader).await;
    sending.abort();
    end
}

#[tokio::test]
async fn floods_end_the_connection_that_brings_them() {
    let app = site().await;
    let world = World::with(&[&app]);
    // CVE-2023-44487: streams that are begun and reset.
    let reset = |number: u32| {
        let stream = number * 2 + 1;
        [
            held(stream, END_STREAM),
            frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]),
        ]
        .concat()
    };
    let end = flood(&world, Vec::new(), reset, 5000).await;
    assert!(
        matches!(end, End::Closed(None | Some(ENHANCE_YOUR_CALM))),
        "reset: {end:?}"
    );
    // CVE-2024-27316: a head that goes on and on.
    let begin = frame(HEADERS, END_STREAM, 1, &with(&[]));
    let more = |_| frame(CONTINUATION, 0, 1, &block(&[("x", &"y".repeat(1000))]));
    let end = flood(&world, begin, more, 5000).await;
    assert!(
        matches!(end, End::Closed(None | Some(ENHANCE_YOUR_CALM))),
        "continuation: {end:?}"
    );
    // The same without anything in it.
    let begin = frame(HEADERS, END_STREAM, 1, &with(&[]));
    let end = flood(&world, begin, |_| frame(CONTINUATION, 0, 1, b""), 5000).await;
    assert!(
        matches!(end, End::Closed(None | Some(ENHANCE_YOUR_CALM))),
        "empty continuation: {end:?}"
    );
    // Requests that make the server reset their streams (CVE-2025-8671).
    let wrong = |number: u32| {
        frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            number * 2 + 1,
            &with(&[("te", "gzip")]),
        )
    };
    let end = flood(&world, Vec::new(), wrong, 5000).await;
    assert!(
        matches!(
            end,
            End::Closed(None | Some(ENHANCE_YOUR_CALM)) | End::Reset(_)
        ),
        "provoked resets: {end:?}"
    );
    assert_eq!(world.ask(GET).await.status, 200, "others go on");
}

#[tokio::test]
async fn floods_that_ask_for_answers_are_taken_as_fast_as_those_are_read() {
    let app = site().await;
    let world = World::with(&[&app]);
    for (name, frame) in [
        ("PING", frame(PING, 0, 0, b"12345678")),
        ("SETTINGS", setting(1, 4096)),
    ] {
        let mut framer = Framer::connect(&world).await;
        // Nothing is read here: once the answers fill the sockets, the proxy must take no more, instead of keeping them.
        let flood = frame.repeat(4096);
        let most = 64 * 1024 * 1024;
        let mut sent = 0;
        let mut has_stopped = false;
        while !has_stopped && sent < most {
            has_stopped = tokio::select! {
                biased;
                written = framer.0.write(&flood) => match written {
                    Ok(written) => { sent += written; false }
                    Err(_) => true,
                },
                // Others are served meanwhile, and long enough for what is being read to be read.
                () = async { for _ in 0..200 { assert_eq!(world.ask(GET).await.status, 200); } } => true,
            };
        }
        assert!(
            has_stopped,
            "{name}: {sent} bytes taken from a client that reads nothing"
        );
    }
}

#[tokio::test]
async fn frames_without_content_are_not_kept() {
    let app = site().await;
    let world = World::with(&[&app]);
    let mut framer = Framer::connect(&world).await;
    framer.0.write_all(&held(1, 0)).await.unwrap();
    let empty = frame(DATA, 0, 1, b"").repeat(1000);
    for _ in 0..100 {
        if framer.0.write_all(&empty).await.is_err() {
            break;
        }
    }
    framer.ping().await;
    let end = framer.end().await;
    assert!(
        matches!(end, End::GoesOn | End::Closed(Some(ENHANCE_YOUR_CALM))),
        "{end:?}"
    );
}
