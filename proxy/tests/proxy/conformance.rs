//! HTTP/2 as RFC 9113 and RFC 7541 have it, case by case: what is sent, and the error that is named for it.

use crate::frames::{
    ACK, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, End,
    FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, Framer, GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITY,
    PROTOCOL_ERROR, PSEUDO, PUSH_PROMISE, REFUSED_STREAM, RST_STREAM, SETTINGS, STREAM_CLOSED,
    WINDOW_UPDATE, WITH_PRIORITY, block, frame,
};
use crate::world::{App, GET, World};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Response;
use std::future::pending;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

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
async fn settings_that_cannot_be_are_refused() {
    check(&[
        (
            "6.5: an acknowledgement that holds something",
            &[frame(SETTINGS, ACK, 0, &[0; 6])],
            &[connection(FRAME_SIZE_ERROR), UNSPECIFIC],
        ),
        (
            "6.5: on a stream",
            &[frame(SETTINGS, 0, 1, b"")],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "6.5: half of one",
            &[frame(SETTINGS, 0, 0, &[0; 3])],
            &[connection(FRAME_SIZE_ERROR), UNSPECIFIC],
        ),
        (
            "6.5.2: ENABLE_PUSH of 2",
            &[setting(2, 2)],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "6.5.2: INITIAL_WINDOW_SIZE above all",
            &[setting(4, 1 << 31)],
            &[connection(FLOW_CONTROL_ERROR), UNSPECIFIC],
        ),
        (
            "6.5.2: MAX_FRAME_SIZE below the smallest",
            &[setting(5, 16_383)],
            &[connection(PROTOCOL_ERROR)],
        ),
        (
            "6.5.2: MAX_FRAME_SIZE above the largest",
            &[setting(5, 1 << 24)],
            &[connection(PROTOCOL_ERROR)],
        ),
        ("6.5.2: an unknown one", &[setting(0xff, 1)], &[End::GoesOn]),
        (
            "6.5.3: several at once, the last counts",
            &[setting(4, 0), setting(4, 100)],
            &[End::GoesOn],
        ),
    ])
    .await;
}

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

#[tokio::test]
async fn fields_that_cannot_be_decoded_end_the_connection() {
    let ask = |head: &[u8]| frame(HEADERS, END_HEADERS | END_STREAM, 1, head);
    let behind = |bytes: &[u8]| ask(&[&with(&[]), bytes].concat());
    check(&[
        // RFC 7541.
        (
            "6.1: index 0",
            &[ask(&[0x80])],
            &[connection(COMPRESSION_ERROR), UNSPECIFIC],
        ),
        (
            "2.3.3: an index that is in no table",
            &[ask(&[0xbe])],
            &[connection(COMPRESSION_ERROR), UNSPECIFIC],
        ),
        (
            "2.3.3: a name that is in no table",
            &[ask(&[0x7f, 0x70, 1, b'x'])],
            &[connection(COMPRESSION_ERROR), UNSPECIFIC],
        ),
        (
            "4.2: a size update behind fields",
            &[behind(&[0x20])],
            &[connection(COMPRESSION_ERROR), UNSPECIFIC],
        ),
        (
            "6.3: a table above what is allowed",
            &[ask(&[
                &[0x3f, 0xe1, 0xff, 0xff, 0x7f],
                with(&[]).as_slice(),
            ]
            .concat())],
            &[connection(COMPRESSION_ERROR), UNSPECIFIC],
        ),
        (
            "5.1: a number without end",
            &[ask(&[&[0xff], [0x80; 16].as_slice()].concat())],
            &[connection(COMPRESSION_ERROR), UNSPECIFIC],
        ),
        (
            "5.2: a text longer than the block",
            &[behind(&[0, 5, b'a'])],
            &[connection(COMPRESSION_ERROR), UNSPECIFIC],
        ),
        (
            "5.2: padding of more than seven bits",
            &[behind(&[0, 0x82, 0x1f, 0xff, 1, b'x'])],
            &[connection(COMPRESSION_ERROR), UNSPECIFIC],
        ),
        (
            "5.2: padding of other bits than EOS",
            &[behind(&[0, 0x81, 0x18, 1, b'x'])],
            &[connection(COMPRESSION_ERROR), UNSPECIFIC],
        ),
        (
            "5.2: EOS in a text",
            &[behind(&[0, 0x84, 0xff, 0xff, 0xff, 0xff, 1, b'x'])],
            &[connection(COMPRESSION_ERROR), UNSPECIFIC],
        ),
        (
            "a block that ends in a field",
            &[ask(&with(&[])[..7])],
            &[connection(COMPRESSION_ERROR), UNSPECIFIC],
        ),
    ])
    .await;
}

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

#[tokio::test]
async fn what_comes_before_the_settings_is_none_of_http_2() {
    let app = site().await;
    let world = World::with(&[&app]);
    // Section 3.4: the first frame of a client is SETTINGS; one that sends another is cut off or, as the library has it, heard.
    let mut framer = Framer(TcpStream::connect(world.address).await.unwrap());
    framer.0.write_all(PREFACE).await.unwrap();
    framer.ping().await;
    let end = framer.end().await;
    assert!(matches!(end, End::Closed(_) | End::GoesOn), "{end:?}");
    // Section 6.5.3: settings are acknowledged.
    let mut framer = Framer::connect(&world).await;
    loop {
        let frame = framer.next().await.unwrap();
        if frame.kind == SETTINGS && frame.flags == ACK {
            assert_eq!((frame.stream, frame.payload.len()), (0, 0));
            break;
        }
    }
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

#[tokio::test]
async fn a_head_that_unpacks_to_more_than_the_limit_is_answered_431() {
    let app = site().await;
    let world = World::with(&[&app]);
    let mut framer = Framer::connect(&world).await;
    // One field of 4,000 bytes goes into the table (RFC 7541 section 6.2.1), and is then named 50 times: 200 kB out of 4.
    let mut head = with(&[]);
    let value = "y".repeat(4000);
    let mut field = block(&[("x", &value)]);
    field[0] = 0x40;
    head.extend(field);
    head.extend([0xbe; 50]);
    framer
        .send(HEADERS, END_HEADERS | END_STREAM, 1, &head)
        .await;
    let status = loop {
        let frame = framer.next().await.unwrap();
        match frame.kind {
            HEADERS => break frame.payload,
            RST_STREAM | GOAWAY => panic!("no answer"),
            _ => {}
        }
    };
    // `:status` by its index, and 431 as a literal, with Huffman or without.
    assert!(
        status.windows(3).any(|window| window == b"431")
            || status.starts_with(&[0x48, 0x83, 0x69, 0x90, 0xff]),
        "{status:?}"
    );
    assert_eq!(app.connections(), 0);
}
