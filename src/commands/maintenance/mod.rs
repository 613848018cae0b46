//! `maintenance:*`: an app that is closed for a while.

mod custom_page;
mod off;
mod on;
mod report;

pub use custom_page::CustomPage;
pub use off::Off;
pub use on::On;
pub use report::Report;
