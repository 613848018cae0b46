//! The raw ends of a container, for one-off processes.
//!
//! bollard can attach too, but guesses whether bytes are framed by looking at each chunk: output of a terminal that
//! begins with a byte 0, 1 or 2 waits for a frame that never comes. We know whether there is a terminal.

use bytes::{Buf, Bytes, BytesMut};
use http::Request;
use http::header::UPGRADE;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, ReadHalf, WriteHalf};

use super::Connection;
use super::errors::About;
use super::upgrade::upgrade;
use crate::engine::{EngineError, Stream};

/// The most that is read at once.
const CHUNK_BYTES: usize = 32 * 1024;

/// Takes hold of a container's ends. Done before its start, nothing of what it says is missed.
pub(super) async fn attach(
    connection: &Connection,
    id: &str,
    has_stdin: bool,
    has_terminal: bool,
) -> Result<(Output, WriteHalf<TokioIo<Upgraded>>), EngineError> {
    let path = format!(
        "/containers/{id}/attach?stream=1&stdout=1&stderr=1&stdin={}",
        u8::from(has_stdin)
    );
    let request = Request::builder().header(UPGRADE, "tcp").uri(path);
    let upgraded = upgrade(connection, request, About::Container(id)).await?;
    let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
    Ok((Output::new(reader, has_terminal), writer))
}

/// What a container says.
pub(super) struct Output {
    reader: ReadHalf<TokioIo<Upgraded>>,
    buffer: BytesMut,
    frames: Option<Frames>,
}

impl Output {
    fn new(reader: ReadHalf<TokioIo<Upgraded>>, has_terminal: bool) -> Self {
        Self {
            reader,
            buffer: BytesMut::with_capacity(CHUNK_BYTES),
            frames: (!has_terminal).then(Frames::default),
        }
    }

    /// The next bytes; none at the end. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Option<(Stream, Bytes)> {
        loop {
            let ready = match &mut self.frames {
                Some(frames) => frames.next(&mut self.buffer),
                None => {
                    let bytes = self.buffer.split().freeze();
                    (!bytes.is_empty()).then_some((Stream::Stdout, bytes))
                }
            };
            if ready.is_some() {
                return ready;
            }
            self.buffer.reserve(CHUNK_BYTES);
            match self.reader.read_buf(&mut self.buffer).await {
                // A broken connection ends the output as its end does; the exit status tells the rest.
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}

/// Docker's framing of two streams in one: a byte for the stream, three zeros, four of length, then so many bytes
/// (Docker API, "Attach to a container", stream format). A frame is passed on in parts as they arrive, so that its length
/// claims no memory.
#[derive(Debug, Default)]
struct Frames {
    inside: Option<(Stream, usize)>,
}

impl Frames {
    fn next(&mut self, buffer: &mut BytesMut) -> Option<(Stream, Bytes)> {
        loop {
            if let Some((stream, left)) = self.inside {
                if left == 0 {
                    self.inside = None;
                    continue;
                }
                if buffer.is_empty() {
                    return None;
                }
                let part = buffer.split_to(left.min(buffer.len())).freeze();
                self.inside = Some((stream, left - part.len()));
                return Some((stream, part));
            }
            let (header, _) = buffer.split_first_chunk::<8>()?;
            let [kind, _, _, _, a, b, c, d] = *header;
            let stream = match kind {
                2 => Stream::Stderr,
                _ => Stream::Stdout,
            };
            let length = u32::from_be_bytes([a, b, c, d]);
            buffer.advance(header.len());
            self.inside = Some((stream, usize::try_from(length).unwrap_or(usize::MAX)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_apart_wherever_they_are_cut() {
        let bytes = b"\x01\0\0\0\0\0\0\x02ab\x02\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\x01c";
        for cut in 0..bytes.len() {
            let (first, second) = bytes.split_at(cut);
            let mut frames = Frames::default();
            let mut buffer = BytesMut::new();
            let mut out = Vec::new();
            let mut err = Vec::new();
            for piece in [first, second] {
                buffer.extend_from_slice(piece);
                while let Some((stream, bytes)) = frames.next(&mut buffer) {
                    match stream {
                        Stream::Stdout => out.extend_from_slice(&bytes),
                        Stream::Stderr => err.extend_from_slice(&bytes),
                    }
                }
            }
            assert_eq!((out.as_slice(), err.as_slice()), (&b"ab"[..], &b"c"[..]));
        }
    }
}
