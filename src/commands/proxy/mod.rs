//! `proxy:*`: how the proxy treats the requests of an app.

mod access_logs;
mod error_page;
mod pause;
mod report;
mod resume;
mod set;
mod stats;

pub use access_logs::AccessLogs;
pub use error_page::ErrorPage;
pub use pause::Pause;
pub use report::Report;
pub use resume::Resume;
pub use set::Set;
pub use stats::Stats;
