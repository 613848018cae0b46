//! `proxy:*`: how the proxy treats the requests of an app.

mod error_page;
mod report;
mod set;

pub use error_page::ErrorPage;
pub use report::Report;
pub use set::Set;
