//! Automatic certificates (RFC 8555): what to order when, and the orders themselves.
mod backoff;
mod name;
mod plan;
mod renewal;
mod world;

pub use backoff::{Failure, next_try};
pub use name::{CertName, NameRefused};
pub use plan::{Limits, Plan, Work, plan};
pub use renewal::renew_at;
pub use world::{Advice, Draw, Held, Origin, Tries, Window, World};
