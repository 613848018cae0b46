//! The proxy with real sockets on both sides. `world` holds the parts, each other module one kind of promise.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod access_log;
mod answers;
mod care;
mod client;
mod conformance;
mod faults;
mod forwarding;
mod frames;
mod gate;
mod h2c;
mod half_closed;
mod holding;
mod http2;
mod interim;
mod messages;
mod packing;
mod policy;
mod ports;
mod relayed;
mod requests;
mod routing;
mod secure;
mod shutdown;
mod slowness;
mod smuggling;
mod streams;
mod swaps;
mod tls;
mod upgrades;
mod world;
