//! `proxy:*`: how the proxy treats the requests of an app.

mod report;
mod set;

pub use report::Report;
pub use set::Set;
