//! Settings: RFC 9113 sections 3.4 and 6.5.

use super::{UNSPECIFIC, check, connection, setting, site};
use crate::frames::{
    ACK, End, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, Framer, PREFACE, PROTOCOL_ERROR, SETTINGS,
    frame,
};
use crate::world::World;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

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
