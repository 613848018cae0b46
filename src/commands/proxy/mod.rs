//! `proxy:*`: how the proxy treats the requests of an app.

mod error_page;
mod pause;
mod report;
mod resume;
mod set;

pub use error_page::ErrorPage;
pub use pause::Pause;
pub use report::Report;
pub use resume::Resume;
pub use set::Set;
