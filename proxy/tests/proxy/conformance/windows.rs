//! Flow control: RFC 9113 sections 5.2 and 6.9.

use super::{check, connection, held, setting, site, with};
use crate::frames::{
    DATA, END_HEADERS, END_STREAM, End, FLOW_CONTROL_ERROR, Framer, HEADERS, PROTOCOL_ERROR,
    WINDOW_UPDATE, frame,
};
use crate::world::World;
use tokio::io::AsyncWriteExt as _;

#[tokio::test]
async fn windows_neither_overflow_nor_grow_by_nothing() {
    let grow = |stream, by: u32| frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes());
    check(&[
        (
            "6.9: the connection's by nothing",
            &[grow(0, 0)],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "6.9: a stream's by nothing",
            &[held(1, 0), grow(1, 0)],
            &[End::Reset(PROTOCOL_ERROR), connection(PROTOCOL_ERROR)],
        ),
        (
            "6.9.1: the connection's above all",
            &[grow(0, 0x7fff_ffff), grow(0, 0x7fff_ffff)],
            &[connection(FLOW_CONTROL_ERROR)],
        ),
        (
            "6.9.1: a stream's above all",
            &[held(1, 0), grow(1, 0x7fff_ffff), grow(1, 0x7fff_ffff)],
            &[
                End::Reset(FLOW_CONTROL_ERROR),
                connection(FLOW_CONTROL_ERROR),
            ],
        ),
        (
            "6.9.2: a stream's above all by settings",
            &[held(1, 0), grow(1, 0x7fff_0000), setting(4, 0x7fff_ffff)],
            &[connection(FLOW_CONTROL_ERROR)],
        ),
        (
            "6.9.1: DATA above the stream's",
            &[[
                held(1, 0),
                vec![frame(DATA, 0, 1, &[0; 16_384]); 40].concat(),
            ]
            .concat()],
            &[
                End::Reset(FLOW_CONTROL_ERROR),
                connection(FLOW_CONTROL_ERROR),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn no_more_is_sent_than_the_client_has_room_for() {
    let app = site().await;
    let world = World::with(&[&app]);
    let mut framer = Framer::connect(&world).await;
    let ask = frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        1,
        &with(&[(":path", "/bytes/1000")]),
    );
    // Section 6.9.2: room for one byte; then below nothing, which three more do not make up for; then for the rest.
    let frames = [setting(4, 1), ask].concat();
    framer.0.write_all(&frames).await.unwrap();
    let mut got = 0;
    let mut steps = [
        [
            setting(4, 0),
            frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes()),
        ]
        .concat(),
        [
            setting(4, 3),
            frame(WINDOW_UPDATE, 0, 1, &2000_u32.to_be_bytes()),
        ]
        .concat(),
    ]
    .into_iter();
    let mut allowed = 1;
    loop {
        let frame = framer.next().await.unwrap();
        if frame.kind != DATA {
            continue;
        }
        got += frame.payload.len();
        assert!(got <= allowed, "{got} bytes where {allowed} were allowed");
        if frame.flags & END_STREAM != 0 {
            break;
        }
        if got < allowed {
            continue;
        }
        match steps.next() {
            // 0 + 1 in sum: still the one byte that has been sent, so the connection is asked whether more comes.
            Some(step) => {
                framer.0.write_all(&step).await.unwrap();
                if allowed == 1 {
                    framer.ping().await;
                    assert_eq!(framer.end().await, End::GoesOn, "no DATA before the PING");
                    framer.0.write_all(&steps.next().unwrap()).await.unwrap();
                }
                allowed = 2004;
            }
            None => panic!("{got} bytes, and no end"),
        }
    }
    assert_eq!(got, 1000);
}
