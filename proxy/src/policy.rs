//! What is special about one service: its limits and times. A plain value, part of the table.

use std::time::Duration;

/// How requests for one service are treated. The default sets nothing: all that comes is forwarded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    /// How long a connection to an upstream may take; otherwise
    /// [`ProxySettings::connect_timeout`](crate::ProxySettings::connect_timeout).
    pub connect_timeout: Option<Duration>,
    /// How long an upstream may stay silent before its answer begins; otherwise
    /// [`ProxySettings::first_byte_timeout`](crate::ProxySettings::first_byte_timeout).
    pub first_byte_timeout: Option<Duration>,
    /// How long an answer that has begun may stay silent before it is broken off. Without it, as long as it likes.
    /// An upgraded connection is no answer.
    pub idle_timeout: Option<Duration>,
    /// Largest body of a request in bytes; more is answered 413. One without a known length is cut off when it gets
    /// there.
    pub max_body_bytes: Option<u64>,
}
