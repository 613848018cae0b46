//! `ps:*`: the processes of an app.

mod at_once;
mod rebuild;
pub(in crate::commands) mod report;
mod restart;
mod scale;
mod start;
mod stop;
mod which;

pub use rebuild::Rebuild;
pub use report::Report;
pub use restart::Restart;
pub use scale::Scale;
pub use start::Start;
pub use stop::Stop;
pub use which::Which;
