//! Owns the SSH server and the hook socket: who is asking, which words were sent, piping bytes.
//! Must not know what a command does, how a push is deployed, or anything of containers.

mod admission;
mod channel;
mod child_output;
mod command_session;
mod connection;
mod doors;
mod git_session;
pub mod hook_client;
mod hook_frame;
mod hook_socket;
mod host_key;
mod inbox;
pub mod local_client;
mod login;
mod outbox;
mod pkt_line;
mod pushes;
mod quickack;
mod request;
mod server;
mod settings;
mod spool;
mod terminal;
pub mod unix_socket;

pub use admission::ConnectionLimits;
pub use doors::{PushDoor, Registry, RunWords, SshDoors, TakesTerminal};
pub use host_key::HostKeyError;
pub use server::{SshError, SshServer};
pub use settings::SshSettings;
