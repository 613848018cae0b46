//! `storage:*`: folders of the server that outlive the containers which see them, and the app itself.

mod ensure_directory;
mod list;
mod mount;
mod report;
mod unmount;

pub use ensure_directory::EnsureDirectory;
pub use list::List;
pub use mount::Mount;
pub use report::Report;
pub use unmount::Unmount;

use std::io;
use std::path::PathBuf;

use super::Platform;
use crate::engine::{STORAGE, ensure_folder};
use crate::model::{App, AppName, Kind, Problem, StorageMount, StorageName};

pub(super) fn path(platform: &Platform, name: &StorageName) -> PathBuf {
    let folder = platform.facts.data_dir.join(STORAGE);
    folder.join(name.as_str())
}

/// Makes the folder if it is missing; whether it was.
async fn ensure(platform: &Platform, name: &StorageName) -> Result<bool, Problem> {
    let path = path(platform, name);
    let made = tokio::task::spawn_blocking(move || ensure_folder(&path)).await;
    let made = made.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()));
    made.map_err(|error| {
        Problem::new(
            Kind::Unavailable,
            format!("The folder of {name} could not be made"),
            error.to_string(),
            "See what stands in the way in the folder `storage` of the data directory",
        )
    })
}

async fn app(platform: &Platform, name: &AppName) -> Result<App, Problem> {
    let found = platform.store.app(name).await?;
    found.ok_or_else(|| Problem::no_such_app(name))
}

/// A mount as it was typed: by the name of the folder, or by its path as Dokku has it.
fn mount_of(platform: &Platform, text: &str) -> Result<StorageMount, Problem> {
    let own = platform.facts.data_dir.join(STORAGE);
    let own = format!("{}/", own.display());
    let typed = text.strip_prefix(&own).unwrap_or(text);
    if typed.starts_with('/') {
        return Err(Problem::new(
            Kind::Invalid,
            format!(
                "`{}` does not name a folder of the storage",
                text.escape_debug()
            ),
            format!(
                "only what is in {own} is mounted: the rest of the machine is none of an app's business"
            ),
            "Name the folder: `storage:mount APP NAME:/PATH`; what is elsewhere can be moved there",
        ));
    }
    Ok(typed.parse()?)
}
