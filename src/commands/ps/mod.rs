//! `ps:*`: the processes of an app.

mod at_once;
mod inspect;
mod rebuild;
pub(in crate::commands) mod report;
mod restart;
mod scale;
mod set;
mod start;
mod stop;
mod which;

pub use inspect::Inspect;
pub use rebuild::Rebuild;
pub use report::Report;
pub use restart::Restart;
pub use scale::Scale;
pub use set::Set;
pub use start::Start;
pub use stop::Stop;
pub use which::Which;
