//! A new mini takes over from the one that runs, without a visitor noticing: `mini server --takeover`.
//!
//! There is one data directory, one lock, one writer, one reconciler, so these move at one moment; the proxies overlap.
//!
//! | the running server ([`give`]) | the new one ([`take`]) |
//! | --- | --- |
//! | | connects to `run/takeover.sock`, says how long it would wait |
//! | lets no new SSH session in (they wait in the queue of the socket), finishes pushes, deploys and commands; its proxy goes on all the time | logs what is waited for |
//! | closes the store, passes all listening sockets | |
//! | | opens the store, reconciles, accepts on the same sockets, says that it is ready |
//! | accepts no more, finishes what is in flight, tells which processes that concerns until it ends | serves; stops no process the other one still needs |
//!
//! Whichever of the two ends before the new one is ready, the other one serves on.

mod door;
mod give;
mod link;
mod sockets;
mod take;

pub(super) use door::Door;
pub(super) use give::{Given, give, leave};
pub(super) use sockets::{Kept, Listening, Passed, Role};
pub(super) use take::{Taken, take};
