//! Answers of Docker that are one JSON text in each line.

use std::future::ready;
use std::io;

use bollard::errors::Error;
use futures_util::{Stream, StreamExt};

/// The same answers, ended where Docker ended them. bollard 0.21 reads a text as soon as it is whole; where the end of its line
/// comes in a piece of its own as the last of all, that is taken for the beginning of a text that was cut, and the answer for one
/// that broke off. An answer that truly breaks off ends its connection, which is another error.
pub(super) fn whole<T>(
    answers: impl Stream<Item = Result<T, Error>>,
) -> impl Stream<Item = Result<T, Error>> {
    answers.take_while(|answer| ready(!matches!(answer, Err(error) if is_end_of_line(error))))
}

/// What a `FramedRead` of tokio-util 0.7 says of bytes that its decoder has left at the end (`Decoder::decode_eof`).
fn is_end_of_line(error: &Error) -> bool {
    matches!(error, Error::IOError { err } if err.kind() == io::ErrorKind::Other
        && err.to_string() == "bytes remaining on stream")
}
