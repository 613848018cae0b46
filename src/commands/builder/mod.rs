//! `builder:*`: how an app is built, where that is not left to detection.

mod report;
mod set;

pub use report::Report;
pub use set::Set;
