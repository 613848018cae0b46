//! `checks:*`: what must hold before a new process gets requests.

mod report;

pub use report::Report;
