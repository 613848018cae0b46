//! What the `mini` program and the server say to each other while a command runs: one byte that says what it is, four
//! bytes of length (big endian), that many bytes.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use crate::engine::{Stream, TerminalSize};

/// Longest content of a frame, bytes; longer ones end the connection.
const LIMIT: usize = 1 << 20;
/// Length of kind and length.
const HEAD: usize = 5;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// To the server, first and once: the command, as JSON.
    Start(Bytes),
    /// To the server: what was typed.
    Stdin(Bytes),
    /// To the server: nothing more will be typed.
    StdinEnd,
    /// To the server: the terminal has another size now.
    Resize(TerminalSize),
    /// To the program: output.
    Output(Stream, Bytes),
    /// To the program: whether the terminal is to hide what is typed from now on.
    Hide(bool),
    /// To the program, last: the exit status.
    Exit(u8),
}

/// Reads and writes frames.
#[derive(Debug, Default)]
pub(super) struct FrameCodec;

const START: u8 = 0;
const STDIN: u8 = 1;
const STDIN_END: u8 = 2;
const RESIZE: u8 = 3;
const STDOUT: u8 = 16;
const STDERR: u8 = 17;
const EXIT: u8 = 18;
const HIDE: u8 = 19;

impl Encoder<Frame> for FrameCodec {
    type Error = io::Error;

    fn encode(&mut self, frame: Frame, to: &mut BytesMut) -> io::Result<()> {
        let (kind, content) = match frame {
            Frame::Start(json) => (START, json),
            Frame::Stdin(bytes) => (STDIN, bytes),
            Frame::StdinEnd => (STDIN_END, Bytes::new()),
            Frame::Resize(size) => {
                let mut content = BytesMut::with_capacity(4);
                content.put_u16(size.columns);
                content.put_u16(size.rows);
                (RESIZE, content.freeze())
            }
            Frame::Output(Stream::Stdout, bytes) => (STDOUT, bytes),
            Frame::Output(Stream::Stderr, bytes) => (STDERR, bytes),
            Frame::Exit(code) => (EXIT, Bytes::copy_from_slice(&[code])),
            Frame::Hide(is_hidden) => (HIDE, Bytes::copy_from_slice(&[u8::from(is_hidden)])),
        };
        // Output of any length is fine: it goes out in several frames. Nothing else comes near the limit.
        let mut rest = content;
        loop {
            let part = rest.split_to(rest.len().min(LIMIT));
            to.reserve(HEAD + part.len());
            to.put_u8(kind);
            to.put_u32(u32::try_from(part.len()).map_err(io::Error::other)?);
            to.put_slice(&part);
            if rest.is_empty() {
                return Ok(());
            }
        }
    }
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = io::Error;

    fn decode(&mut self, from: &mut BytesMut) -> io::Result<Option<Frame>> {
        let mut head = from.as_ref();
        let (Ok(kind), Ok(length)) = (head.try_get_u8(), head.try_get_u32()) else {
            return Ok(None);
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > LIMIT {
            return Err(bad("a frame is too long"));
        }
        if from.len() < HEAD + length {
            from.reserve(HEAD + length - from.len());
            return Ok(None);
        }
        from.advance(HEAD);
        let mut content = from.split_to(length).freeze();
        Ok(Some(match kind {
            START => Frame::Start(content),
            STDIN => Frame::Stdin(content),
            STDIN_END => Frame::StdinEnd,
            RESIZE => {
                let (Ok(columns), Ok(rows)) = (content.try_get_u16(), content.try_get_u16()) else {
                    return Err(bad("a size of four bytes was expected"));
                };
                Frame::Resize(TerminalSize { columns, rows })
            }
            STDOUT => Frame::Output(Stream::Stdout, content),
            STDERR => Frame::Output(Stream::Stderr, content),
            HIDE => match content.as_ref() {
                [0] => Frame::Hide(false),
                [1] => Frame::Hide(true),
                _ => return Err(bad("a byte that is 0 or 1 was expected")),
            },
            EXIT => match content.as_ref() {
                [code] => Frame::Exit(*code),
                _ => return Err(bad("an exit status of one byte was expected")),
            },
            _ => return Err(bad("a frame of an unknown kind")),
        }))
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_arrives_as_it_was_sent_also_byte_by_byte() {
        let frames = [
            Frame::Start(Bytes::from_static(b"{}")),
            Frame::Stdin(Bytes::from_static(b"abc")),
            Frame::StdinEnd,
            Frame::Resize(TerminalSize {
                columns: 80,
                rows: 24,
            }),
            Frame::Output(Stream::Stdout, Bytes::from_static(b"out")),
            Frame::Output(Stream::Stderr, Bytes::new()),
            Frame::Hide(true),
            Frame::Hide(false),
            Frame::Exit(20),
        ];
        let mut sent = BytesMut::new();
        for frame in frames.clone() {
            FrameCodec.encode(frame, &mut sent).unwrap();
        }
        let mut arriving = BytesMut::new();
        let mut received = Vec::new();
        for byte in sent {
            arriving.put_u8(byte);
            while let Some(frame) = FrameCodec.decode(&mut arriving).unwrap() {
                received.push(frame);
            }
        }
        assert_eq!(received, frames);
    }

    #[test]
    fn long_output_is_split_and_nonsense_is_an_error() {
        let mut sent = BytesMut::new();
        let long = Bytes::from(vec![7; LIMIT + 1]);
        FrameCodec
            .encode(Frame::Output(Stream::Stdout, long), &mut sent)
            .unwrap();
        let mut total = 0;
        while let Some(Frame::Output(_, bytes)) = FrameCodec.decode(&mut sent).unwrap() {
            total += bytes.len();
        }
        assert_eq!(total, LIMIT + 1);
        for bad in [
            &[99, 0, 0, 0, 0][..],
            &[1, 255, 0, 0, 0],
            &[3, 0, 0, 0, 1, 0],
            &[18, 0, 0, 0, 0],
            &[19, 0, 0, 0, 1, 2],
        ] {
            assert!(
                FrameCodec.decode(&mut BytesMut::from(bad)).is_err(),
                "{bad:?}"
            );
        }
    }
}
