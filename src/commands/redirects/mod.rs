//! `redirects:*`: addresses of an app that send visitors elsewhere.

mod report;
mod set;
mod unset;

pub use report::Report;
pub use set::Set;
pub use unset::Unset;
