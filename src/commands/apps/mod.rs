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

use super::Platform;
use crate::model::{App, AppName, Kind, Problem};

/// Refuses where an app has been renamed or destroyed since it was looked up.
async fn require_same(platform: &Platform, app: &App) -> Result<(), Problem> {
    let now = platform.store.app(&app.name).await?;
    match now.is_some_and(|now| now.id == app.id) {
        true => Ok(()),
        false => Err(Problem::no_such_app(&app.name)),
    }
}

/// Dokku's words for a name that an app has already.
fn taken(name: &AppName) -> Problem {
    Problem::new(
        Kind::Taken,
        "Name is already taken",
        format!("there is an app {name}"),
        "Choose another name; `apps:list` shows those that are taken",
    )
}
