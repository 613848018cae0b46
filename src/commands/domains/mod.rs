//! `domains:*`: the host names an app answers at besides `<app>.<base domain>`.

mod add;
mod remove;
mod report;

pub use add::Add;
pub use remove::Remove;
pub use report::Report;

use crate::model::{DomainName, InvalidName};

/// Reads a domain as people type it: in any case, with or without the dot at the end.
pub(super) fn typed(text: &str) -> Result<DomainName, InvalidName> {
    text.strip_suffix('.')
        .unwrap_or(text)
        .to_lowercase()
        .parse()
}
