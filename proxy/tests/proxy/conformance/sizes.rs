//! Frames of a wrong size, and of kinds that are not there: RFC 9113 sections 4 and 6.

use super::{UNSPECIFIC, check, connection, held, with};
use crate::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, End, FRAME_SIZE_ERROR, GOAWAY, HEADERS,
    PADDED, PING, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, RST_STREAM, WINDOW_UPDATE, frame,
};

#[tokio::test]
async fn frames_of_a_wrong_size_or_kind() {
    let head = with(&[]);
    check(&[
        (
            "4.1: a frame of an unknown kind",
            &[frame(0x16, 0, 0, b"12345678")],
            &[End::GoesOn],
        ),
        (
            "4.1: unknown flags",
            &[frame(PING, 0x16, 0, b"12345678")],
            &[End::GoesOn],
        ),
        (
            "4.1: the reserved bit",
            &[frame(PING, 0, 1 << 31, b"12345678")],
            &[End::GoesOn],
        ),
        (
            "4.2: DATA above the largest frame",
            &[held(1, 0), frame(DATA, 0, 1, &[0; 16_385])],
            &[connection(FRAME_SIZE_ERROR), End::Reset(FRAME_SIZE_ERROR)],
        ),
        (
            "4.2: HEADERS above the largest frame",
            &[frame(HEADERS, END_HEADERS, 1, &[0; 16_385])],
            &[connection(FRAME_SIZE_ERROR)],
        ),
        (
            "6.1: DATA on stream 0",
            &[frame(DATA, 0, 0, b"x")],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "6.1: more padding than DATA",
            &[held(1, 0), frame(DATA, PADDED, 1, b"\x06ab")],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "6.2: HEADERS on stream 0",
            &[frame(HEADERS, END_HEADERS | END_STREAM, 0, &head)],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "6.2: more padding than HEADERS",
            &[frame(
                HEADERS,
                END_HEADERS | END_STREAM | PADDED,
                1,
                &[&[255], head.as_slice()].concat(),
            )],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "6.3: PRIORITY on stream 0",
            &[frame(PRIORITY, 0, 0, &[0, 0, 0, 1, 0])],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "6.3: PRIORITY of four bytes",
            &[held(1, 0), frame(PRIORITY, 0, 1, &[0; 4])],
            &[
                End::Reset(FRAME_SIZE_ERROR),
                connection(FRAME_SIZE_ERROR),
                UNSPECIFIC,
            ],
        ),
        (
            "6.4: RST_STREAM on stream 0",
            &[frame(RST_STREAM, 0, 0, &[0; 4])],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "6.4: RST_STREAM of three bytes",
            &[held(1, 0), frame(RST_STREAM, 0, 1, &[0; 3])],
            &[connection(FRAME_SIZE_ERROR), UNSPECIFIC],
        ),
        (
            "6.6: a push from a client",
            &[
                held(1, 0),
                frame(
                    PUSH_PROMISE,
                    END_HEADERS,
                    1,
                    &[&[0, 0, 0, 2], head.as_slice()].concat(),
                ),
            ],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "6.7: PING on a stream",
            &[frame(PING, 0, 1, &[0; 8])],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "6.7: PING of six bytes",
            &[frame(PING, 0, 0, &[0; 6])],
            &[connection(FRAME_SIZE_ERROR), UNSPECIFIC],
        ),
        (
            "6.7: an acknowledgement of no PING",
            &[frame(PING, ACK, 0, &[0; 8])],
            &[End::GoesOn],
        ),
        (
            "6.8: GOAWAY on a stream",
            &[frame(GOAWAY, 0, 1, &[0; 8])],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "6.9: WINDOW_UPDATE of three bytes",
            &[frame(WINDOW_UPDATE, 0, 0, &[0; 3])],
            &[connection(FRAME_SIZE_ERROR), UNSPECIFIC],
        ),
        (
            "6.10: CONTINUATION on stream 0",
            &[
                frame(HEADERS, END_STREAM, 1, &head),
                frame(CONTINUATION, END_HEADERS, 0, b""),
            ],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "6.10: CONTINUATION of nothing",
            &[frame(CONTINUATION, END_HEADERS, 1, &head)],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "6.10: CONTINUATION behind the end of a head",
            &[held(1, 0), frame(CONTINUATION, END_HEADERS, 1, &head)],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "6.10: a head in pieces",
            &[
                frame(HEADERS, END_STREAM, 1, &head[..5]),
                frame(CONTINUATION, 0, 1, &head[5..9]),
                frame(CONTINUATION, END_HEADERS, 1, &head[9..]),
            ],
            &[End::Answered(200), End::GoesOn],
        ),
    ])
    .await;
}
