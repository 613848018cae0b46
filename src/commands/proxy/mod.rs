//! `proxy:*`: how the proxy treats the requests of an app.

mod access_logs;
mod error_page;
mod report;
mod set;
mod stats;

pub use access_logs::AccessLogs;
pub use error_page::ErrorPage;
pub use report::Report;
pub use set::Set;
pub use stats::Stats;
