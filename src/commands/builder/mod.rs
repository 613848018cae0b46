//! `builder:*`: how an app is built, where that is not left to detection.

mod report;
mod scope;
mod set;

pub use report::Report;
pub use scope::Scope;
pub use set::Set;
