//! `releases`, `releases:info`: what an app ran and runs.

mod info;
mod list;

pub use info::{Info, Told};
pub use list::{Line, List, Releases};
