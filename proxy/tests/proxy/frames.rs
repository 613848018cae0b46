//! A client that writes frames of HTTP/2 as it likes, and says how that ended (RFC 9113).

use crate::world::{World, patiently};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

// Section 6.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const WITH_PRIORITY: u8 = 0x20;

// Section 7.
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const COMPRESSION_ERROR: u32 = 9;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const PSEUDO: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":authority", "app"),
    (":path", "/"),
];

pub(crate) struct Framer(pub(crate) TcpStream);

/// How what was sent ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The stream, with this code.
    Reset(u32),
    /// The connection: with the code of its GOAWAY, or `None` without one.
    Closed(Option<u32>),
    /// An answer with this status, or 0 for one that is no index of the static table.
    Answered(u16),
    /// A PING behind it was answered first: it was taken, or passed over.
    GoesOn,
}

/// What [`Framer::ping`] sends.
const PINGED: [u8; 8] = *b"are you?";

pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Fields as they are: literals without indexing or Huffman (RFC 7541 section 6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            match u8::try_from(text.len()) {
                Ok(length @ ..127) => block.push(length),
                // RFC 7541 section 5.1: what is above the prefix, seven bits at a time.
                _ => {
                    let mut rest = text.len() - 127;
                    block.push(127);
                    while rest >= 128 {
                        block.push(u8::try_from(rest % 128).unwrap() | 0x80);
                        rest /= 128;
                    }
                    block.push(u8::try_from(rest).unwrap());
                }
            }
            block.extend(text.as_bytes());
        }
    }
    block
}

impl Framer {
    pub(crate) async fn connect(world: &World) -> Framer {
        let mut framer = Framer(TcpStream::connect(world.address).await.unwrap());
        framer.0.set_nodelay(true).unwrap();
        let begin = [PREFACE, &frame(SETTINGS, 0, 0, b"")].concat();
        framer.0.write_all(&begin).await.unwrap();
        framer
    }

    pub(crate) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let frame = frame(kind, flags, stream, payload);
        self.0.write_all(&frame).await.unwrap();
    }

    /// Sends a whole head on stream 1.
    pub(crate) async fn ask(&mut self, flags: u8, fields: &[(&str, &str)]) {
        self.send(HEADERS, END_HEADERS | flags, 1, &block(fields))
            .await;
    }

    /// Asks whether the connection goes on, which [`Framer::end`] then says. The other side may have closed it already.
    pub(crate) async fn ping(&mut self) {
        let _ = self.0.write_all(&frame(PING, 0, 0, &PINGED)).await;
    }

    /// The next frame, or none if the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        next(&mut self.0).await
    }

    /// What comes first of what ends a request.
    pub(crate) async fn end(&mut self) -> End {
        end(&mut self.0).await
    }
}

async fn next(stream: &mut (impl AsyncRead + Unpin)) -> Option<Frame> {
    let mut head = [0; 9];
    let read = patiently("a frame", stream.read_exact(&mut head)).await;
    read.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    let read = patiently("the rest of a frame", stream.read_exact(&mut payload)).await;
    read.ok()?;
    Some(Frame {
        kind: head[3],
        flags: head[4],
        stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
        payload,
    })
}

/// What comes first of what ends a request.
pub(crate) async fn end(stream: &mut (impl AsyncRead + Unpin)) -> End {
    let code = |payload: &[u8]| u32::from_be_bytes(payload.try_into().unwrap());
    while let Some(frame) = next(stream).await {
        match frame.kind {
            RST_STREAM => return End::Reset(code(&frame.payload)),
            GOAWAY if frame.payload[4..8] != [0; 4] => {
                return End::Closed(Some(code(&frame.payload[4..8])));
            }
            PING if frame.flags == ACK && frame.payload == PINGED => return End::GoesOn,
            // The status comes first; these are in the static table, others are literals.
            HEADERS => {
                return End::Answered(match frame.payload[0] {
                    0x88 => 200,
                    0x8c => 400,
                    0x8d => 404,
                    _ => 0,
                });
            }
            _ => {}
        }
    }
    End::Closed(None)
}
