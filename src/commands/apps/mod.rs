//! `apps:*`: apps themselves.

mod clone;
mod create;
mod destroy;
mod exists;
mod list;
mod lock;
mod locked;
mod rename;
mod report;
mod set;
mod unlock;

pub use clone::Clone;
pub use create::Create;
pub use destroy::Destroy;
pub use exists::Exists;
pub use list::List;
pub use lock::Lock;
pub use locked::Locked;
pub use rename::Rename;
pub use report::Report;
pub use set::Set;
pub use unlock::Unlock;

use crate::model::{AppName, Kind, Problem};

/// Dokku's words for a name that an app has already.
fn taken(name: &AppName) -> Problem {
    Problem::new(
        Kind::Taken,
        "Name is already taken",
        format!("there is an app {name}"),
        "Choose another name; `apps:list` shows those that are taken",
    )
}
