//! HTTP/1.1 with upstreams: a connection, one request at a time on it, and the answer to that.
//!
//! Owns: what is written and read, strictly by RFC 9112. Must not know: which upstream it is, why, and what is done about one
//! that fails; that is the exchange's.
//!
//! It is polled by whoever waits for the answer: no connection has a task or a buffer of its own, and most answers are one
//! write and one read.

mod answer_head;
mod answer_lines;
mod body_length;
mod call;
mod connection;
mod known_name;
mod reading;
mod request_head;
mod sending;

pub(crate) use answer_head::Asks;
pub(crate) use answer_lines::{Lines, Takes};
pub(crate) use body_length::number as length;
pub(crate) use call::{Answered, Call, Failure};
pub(crate) use connection::{Connection, Held};
pub(crate) use reading::Reading;
pub(crate) use request_head::write_field;

/// What came is not HTTP, or could be read in two ways.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("this is not HTTP/1.1")]
pub(crate) struct Malformed;
