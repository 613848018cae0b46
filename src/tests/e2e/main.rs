//! The whole of mini as its users meet it: the real binary, real `git` and `ssh`, real Docker, real HTTP.
//!
//! Every test has a server of its own in a temporary data directory. What that server makes in Docker carries its
//! instance id and is removed when the test ends; the server's log is printed when the test fails.

mod client;
mod docker;
mod http;
mod load;
mod process;
mod repository;
mod server;
mod wait;
