//! What is known of certificates that are ordered from an authority.

use super::{Secret, Timestamp};

/// How the tries to get a certificate for a name went since the last success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedOrder {
    /// The name: a host name, or a wildcard.
    pub name: String,
    /// Failures one after the other, at least one.
    pub failures: u32,
    /// Why the last one failed.
    pub reason: String,
    /// When it failed.
    pub failed_at: Timestamp,
    /// When the next try is due.
    pub next_try: Timestamp,
}

/// When an authority wants a certificate renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenewalAdvice {
    /// Begin and end of the time it suggests; `None` if it suggests none.
    pub window: Option<(Timestamp, Timestamp)>,
    /// When to ask it again.
    pub ask_again: Timestamp,
}

/// Our account at a certificate authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityAccount {
    /// The e-mail address it was last told to have.
    pub email: String,
    /// Where it is and its key, as JSON.
    pub credentials: Secret,
}
