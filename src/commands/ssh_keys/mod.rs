//! `ssh-keys:*`: the public keys that may log in. They work on the store alone, so that the first key can be added
//! before a server runs.

mod add;
mod authorized;
mod list;
mod public_key;
mod remove;

pub use add::{Add, add_all};
pub use authorized::Authorized;
pub use list::List;
pub use remove::Remove;

/// What Dokku prints for every key; kept for the scripts that read its list.
const ALLOWED_KEYS: &str = "no-agent-forwarding,no-user-rc,no-X11-forwarding,no-port-forwarding";
