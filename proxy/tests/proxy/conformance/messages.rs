//! Requests: RFC 9113 section 8.

use super::{check, connection, held, with};
use crate::frames::{
    DATA, END_HEADERS, END_STREAM, End, HEADERS, PROTOCOL_ERROR, PSEUDO, block, frame,
};

#[tokio::test]
async fn messages_that_are_malformed_reset_their_stream() {
    let ask = |head: &[u8]| frame(HEADERS, END_HEADERS | END_STREAM, 1, head);
    let trailers =
        |fields: &[(&str, &str)], flags| frame(HEADERS, END_HEADERS | flags, 1, &block(fields));
    let malformed: &[End] = &[End::Reset(PROTOCOL_ERROR), connection(PROTOCOL_ERROR)];
    let late = [&PSEUDO[..2], &[("x", "y")], &PSEUDO[2..]].concat();
    let without = |name: &str| {
        block(
            &PSEUDO
                .into_iter()
                .filter(|field| field.0 != name)
                .collect::<Vec<_>>(),
        )
    };
    check(&[
        (
            "8.1: a second head without an end",
            &[held(1, 0), trailers(&[("x", "y")], 0)],
            malformed,
        ),
        (
            "8.1: trailers",
            &[held(1, 0), trailers(&[("x", "y")], END_STREAM)],
            &[End::GoesOn],
        ),
        (
            // The library leaves it out, and an upstream never sees it.
            "8.1: a pseudo field in trailers",
            &[held(1, 0), trailers(&[(":method", "GET")], END_STREAM)],
            &[End::Reset(PROTOCOL_ERROR), End::GoesOn],
        ),
        (
            "8.1.1: less than Content-Length",
            &[
                frame(
                    HEADERS,
                    END_HEADERS,
                    1,
                    &with(&[(":path", "/hold"), ("content-length", "3")]),
                ),
                frame(DATA, END_STREAM, 1, b"ab"),
            ],
            malformed,
        ),
        (
            "8.1.1: more than Content-Length in two",
            &[
                frame(
                    HEADERS,
                    END_HEADERS,
                    1,
                    &with(&[(":path", "/hold"), ("content-length", "3")]),
                ),
                frame(DATA, 0, 1, b"ab"),
                frame(DATA, END_STREAM, 1, b"cd"),
            ],
            malformed,
        ),
        (
            "8.1.1: nothing of Content-Length",
            &[ask(&with(&[("content-length", "3")]))],
            malformed,
        ),
        (
            "8.3: a pseudo field behind others",
            &[ask(&block(&late))],
            malformed,
        ),
        (
            "8.3: a pseudo field of answers",
            &[ask(&with(&[(":status", "200")]))],
            malformed,
        ),
        (
            "8.3.1: two methods",
            &[ask(&block(&[&PSEUDO[..], &PSEUDO[..1]].concat()))],
            malformed,
        ),
        ("8.3.1: no method", &[ask(&without(":method"))], malformed),
        ("8.3.1: no scheme", &[ask(&without(":scheme"))], malformed),
        ("8.3.1: no path", &[ask(&without(":path"))], malformed),
        (
            "8.5: CONNECT with a path",
            &[ask(&with(&[(":method", "CONNECT")]))],
            malformed,
        ),
        (
            // 405, as to any CONNECT.
            "8.5: CONNECT without an authority",
            &[ask(&block(&[(":method", "CONNECT")]))],
            &[End::Reset(PROTOCOL_ERROR), End::Answered(0)],
        ),
        (
            "RFC 8441 4: a protocol without CONNECT",
            &[ask(&with(&[(":protocol", "websocket")]))],
            malformed,
        ),
    ])
    .await;
}
