//! `storage:unmount`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{mount_of, path};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Kind, Permission, Problem, StorageMount};

/// Take a folder away from the containers of an app; what is in it stays
///
/// From the next start of a process on: `ps:restart APP` does that without an interruption.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unmount {
    /// The app
    pub app: AppName,
    /// The folder and the path
    #[arg(value_name = "NAME:/PATH")]
    pub mount: String,
}

/// What was taken away.
#[derive(Debug, Serialize)]
pub struct Unmounted {
    app: AppName,
    mount: StorageMount,
    path: String,
}

impl Command for Unmount {
    type Output = Unmounted;

    fn permission(&self) -> Permission {
        Permission::Administer
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Unmounted, Problem> {
        let app = super::app(platform, &self.app).await?;
        let mount = mount_of(platform, &self.mount)?;
        let mounts = platform.store.storage_mounts(app.id).await?;
        let is_same =
            |other: &&StorageMount| (&other.name, &other.target) == (&mount.name, &mount.target);
        let Some(mount) = mounts.iter().find(is_same).cloned() else {
            return Err(Problem::new(
                Kind::NotFound,
                format!("{mount} is not mounted for {}", app.name),
                "",
                format!("See `storage:list {}`", app.name),
            ));
        };
        let target = mount.target.clone();
        platform.store.remove_storage_mount(app.id, target).await?;
        Ok(Unmounted {
            app: app.name,
            path: path(platform, &mount.name).display().to_string(),
            mount,
        })
    }
}

impl Output for Unmounted {
    fn print(&self, page: &mut Page) {
        page.header(format!("Unmounted {} of {}", self.mount, self.app));
        page.detail(format!("what is in it stays in {}", self.path));
        page.detail(format!(
            "what runs now still sees it: ps:restart {}",
            self.app
        ));
    }
}
