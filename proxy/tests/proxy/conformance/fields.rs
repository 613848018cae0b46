//! The compression of fields: RFC 7541.

use super::{UNSPECIFIC, check, connection, site, with};
use crate::frames::{
    COMPRESSION_ERROR, END_HEADERS, END_STREAM, Framer, GOAWAY, HEADERS, RST_STREAM, block, frame,
};
use crate::world::World;

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
