//! `proxy:*`: how the proxy treats the requests of an app.

mod access_logs;
mod stats;

pub use access_logs::AccessLogs;
pub use stats::Stats;
