//! `proxy:*`: how the proxy treats the requests of an app.

mod pause;
mod report;
mod resume;
mod set;

pub use pause::Pause;
pub use report::Report;
pub use resume::Resume;
pub use set::Set;
