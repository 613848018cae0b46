//! The states of streams, and how many there are: RFC 9113 section 5; heads in one piece: section 6.10.

use super::{check, connection, held, site, with};
use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, End, Framer, GOAWAY, HEADERS, PRIORITY,
    PROTOCOL_ERROR, REFUSED_STREAM, RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE,
    WITH_PRIORITY, frame,
};
use crate::world::World;
use tokio::io::AsyncWriteExt as _;

#[tokio::test]
async fn a_head_is_not_interrupted() {
    let head = with(&[]);
    let begun = || frame(HEADERS, END_STREAM, 1, &head);
    check(&[
        (
            "4.3: by PRIORITY",
            &[begun(), frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "4.3: by HEADERS of another stream",
            &[begun(), frame(HEADERS, END_HEADERS, 3, &head)],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "4.3: by CONTINUATION of another stream",
            &[begun(), frame(CONTINUATION, END_HEADERS, 3, &head)],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "4.3: by DATA",
            &[begun(), frame(DATA, 0, 1, b"x")],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "5.5: by a frame of an unknown kind",
            &[begun(), frame(0x16, 0, 0, b"12345678")],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "6.2: by SETTINGS",
            &[begun(), frame(SETTINGS, 0, 0, b"")],
            &[connection(PROTOCOL_ERROR)],
        ),
    ])
    .await;
}

#[tokio::test]
async fn streams_take_what_their_state_allows() {
    let head = with(&[]);
    let reset = |stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
    check(&[
        (
            "5.1: DATA, idle",
            &[frame(DATA, 0, 1, b"x")],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "5.1: RST_STREAM, idle",
            &[reset(1)],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "5.1: WINDOW_UPDATE, idle",
            &[frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 100])],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "5.1: PRIORITY, idle",
            &[frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])],
            &[End::GoesOn],
        ),
        // The library says PROTOCOL_ERROR, and ends the connection, where the RFC would have STREAM_CLOSED: stricter, and as final.
        (
            "5.1: DATA, half closed",
            &[held(1, END_STREAM), frame(DATA, 0, 1, b"x")],
            &[
                End::Reset(STREAM_CLOSED),
                connection(STREAM_CLOSED),
                connection(PROTOCOL_ERROR),
            ],
        ),
        (
            "5.1: HEADERS, half closed",
            &[
                held(1, END_STREAM),
                frame(HEADERS, END_HEADERS | END_STREAM, 1, &head),
            ],
            &[
                End::Reset(STREAM_CLOSED),
                connection(STREAM_CLOSED),
                connection(PROTOCOL_ERROR),
            ],
        ),
        (
            "5.1: WINDOW_UPDATE, half closed",
            &[
                held(1, END_STREAM),
                frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 100]),
            ],
            &[End::GoesOn],
        ),
        (
            "5.1: DATA, closed by the client",
            &[held(1, 0), reset(1), frame(DATA, 0, 1, b"x")],
            &[End::Reset(STREAM_CLOSED), connection(STREAM_CLOSED)],
        ),
        (
            "5.1: HEADERS, closed by the client",
            &[held(1, 0), reset(1), frame(HEADERS, END_HEADERS, 1, &head)],
            &[
                End::Reset(STREAM_CLOSED),
                connection(STREAM_CLOSED),
                connection(PROTOCOL_ERROR),
            ],
        ),
        (
            "5.1: RST_STREAM, closed by the client",
            &[held(1, 0), reset(1), reset(1)],
            &[End::GoesOn],
        ),
        (
            "5.1.1: an even stream",
            &[held(2, END_STREAM)],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "5.1.1: an older stream",
            &[held(5, END_STREAM), held(3, END_STREAM)],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "5.3.1: HEADERS that depend on themselves",
            &[frame(
                HEADERS,
                END_HEADERS | END_STREAM | WITH_PRIORITY,
                1,
                &[&[0, 0, 0, 1, 9], head.as_slice()].concat(),
            )],
            &[End::Reset(PROTOCOL_ERROR)],
        ),
        (
            "5.3.1: PRIORITY that depends on itself",
            &[held(1, 0), frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 9])],
            &[
                End::Reset(PROTOCOL_ERROR),
                connection(PROTOCOL_ERROR),
                End::GoesOn,
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused() {
    let app = site().await;
    let world = World::with(&[&app]);
    let mut framer = Framer::connect(&world).await;
    let frames: Vec<u8> = (0..201)
        .flat_map(|number| held(number * 2 + 1, 0))
        .collect();
    framer.0.write_all(&frames).await.unwrap();
    // Section 5.1.2: those that came first go on.
    loop {
        let frame = framer.next().await.unwrap();
        if frame.kind == RST_STREAM {
            assert_eq!(
                (frame.stream, frame.payload),
                (401, REFUSED_STREAM.to_be_bytes().to_vec())
            );
            break;
        }
        assert_ne!(frame.kind, GOAWAY);
    }
    framer.ping().await;
    assert_eq!(framer.end().await, End::GoesOn);
}
