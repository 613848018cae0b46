//! Owns the HTTP API on the local socket, the figures for monitoring, and the client of it that the `mini` program is.
//! Must not know what any command does; it reads one, has it run, and writes its answer.

mod client;
mod exposition;
mod frame;
mod metrics;
mod metrics_server;
mod routes;
mod server;
mod session;
mod socket;

pub use client::{Ends, Invocation, NotAnswering, run};
pub use metrics_server::serve_metrics;
pub use server::{Door, serve};
pub use socket::{ApiSocket, connect};
