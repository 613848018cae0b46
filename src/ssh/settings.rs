//! What the operator can set about the SSH server.

use std::path::PathBuf;
use std::time::Duration;

use super::ConnectionLimits;

/// Settings of the SSH server; [`SshSettings::new`] gives the defaults.
#[derive(Debug, Clone)]
pub struct SshSettings {
    /// The data directory: host key in `keys/`, hook socket and spooled input in `run/`.
    pub data_dir: PathBuf,
    /// The program the hook scripts start (`PROGRAM hook NAME`); this one when `None`.
    pub program: Option<PathBuf>,
    /// How many connections are let in.
    pub connections: ConnectionLimits,
    /// Sessions open at once on one connection.
    pub channels_per_connection: usize,
    /// How long a client may take to log in, and to say what a session that it has opened is for.
    pub login_grace: Duration,
    /// How long a connection without any session is kept. Also how long one that takes nothing we send is kept.
    pub idle: Duration,
    /// How often a silent client is asked whether it is still there; it is gone after three times without an answer.
    pub keepalive: Duration,
    /// Whether a push to an app that does not exist creates it.
    pub creates_apps: bool,
    /// How much is kept of what one side of a session sends and the other does not take yet, bytes; beyond it the sender
    /// waits.
    pub spool_limit_bytes: u64,
}

impl SshSettings {
    /// The defaults, for a data directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            program: None,
            connections: ConnectionLimits::default(),
            channels_per_connection: 10,
            login_grace: Duration::from_secs(30),
            idle: Duration::from_secs(60 * 60),
            keepalive: Duration::from_secs(30),
            creates_apps: true,
            spool_limit_bytes: 1 << 30,
        }
    }
}
