//! The whole of mini as its users meet it: the real binary, real `git` and `ssh`, real Docker, real HTTP.
//!
//! Every test has a server of its own in a temporary data directory. What that server makes in Docker carries its
//! instance id and is removed when the test ends; the server's log is printed when the test fails.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and its harness with it"
)]

mod acme;
mod apps;
mod backups;
mod branches;
mod buckets;
mod builder;
mod builds;
mod certificates;
mod client;
mod config;
mod crashes;
mod deploy;
mod docker;
mod examples;
mod gate;
mod given;
mod http;
mod javascript;
mod keys;
mod languages;
mod load;
mod moto;
#[path = "../../../proxy/tests/acme/pebble.rs"]
mod pebble;
mod php;
mod policy;
mod ports;
mod process;
mod processes;
mod proxied;
mod pushes;
mod queue;
mod refused;
mod remote;
mod repository;
mod routing;
mod ruby;
mod server;
mod shell;
mod starts;
mod storage;
mod takeover;
mod upgrades;
mod upgrades_cut_short;
mod upstreams;
mod wait;
