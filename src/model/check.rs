//! What must hold before a new process gets requests.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The port an app is told to listen on when its image does not say otherwise (Dokku's default).
pub const DEFAULT_PORT: u16 = 5000;

/// One check of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is tried.
    pub kind: CheckKind,
    /// How often it is tried before it has failed; at least 1.
    pub attempts: u32,
    /// How long one try may take.
    pub timeout: Duration,
    /// How long to wait between two tries.
    pub wait: Duration,
    /// How long to wait before the first try.
    pub initial_delay: Duration,
}

/// What a check tries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum CheckKind {
    /// The process accepts a TCP connection on its `PORT`.
    Listening,
    /// The process answers `path` with a status from 200 to 399, and with `content` in the body where it is given.
    Http {
        /// Path with query, begins with `/`.
        path: String,
        /// Text the body must contain.
        content: Option<String>,
        /// `Host` header to send; the app's first domain when none.
        host: Option<String>,
    },
    /// The process is still running after this long.
    Uptime {
        /// How long.
        duration: Duration,
    },
}

impl Check {
    /// The check of a `web` process that declares none: it must listen on `PORT` within `within`.
    pub fn listening(within: Duration) -> Self {
        Self {
            kind: CheckKind::Listening,
            attempts: 1,
            timeout: within,
            wait: Duration::ZERO,
            initial_delay: Duration::ZERO,
        }
    }

    /// The check of any other process that declares none: it must stay up for `duration`.
    pub fn uptime(duration: Duration) -> Self {
        Self {
            kind: CheckKind::Uptime { duration },
            attempts: 1,
            timeout: duration,
            wait: Duration::ZERO,
            initial_delay: Duration::ZERO,
        }
    }
}

/// How long the checks that nobody declared may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckPolicy {
    /// How long a `web` process may take to listen on its port.
    pub listen_within: Duration,
    /// How long a process of another type must stay up.
    pub uptime: Duration,
}

impl Default for CheckPolicy {
    /// Dokku's figures: 30 s for a check, 10 s of uptime; ours asks less uptime, since a process that dies later is
    /// restarted anyway.
    fn default() -> Self {
        Self {
            listen_within: Duration::from_secs(30),
            uptime: Duration::from_secs(5),
        }
    }
}
