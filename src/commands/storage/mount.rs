//! `storage:mount`

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{ensure, mount_of};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Kind, Permission, Problem, StorageMount};

/// Let the containers of an app keep what they write: storage:mount blog uploads:/app/uploads
///
/// The folder of that name in the storage of the server, made where it is missing, is seen at the path by every process of
/// the app, by `run` and by the release command. What is in it outlives deploys, rollbacks and the app. It is seen from the
/// next start of a process on: `ps:restart APP` does that without an interruption. During a deploy the old and the new
/// processes have it at the same time. With :ro behind the path they may only read.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// The app
    pub app: AppName,
    /// The folder and the path
    #[arg(value_name = "NAME:/PATH[:ro]")]
    pub mount: String,
}

/// What was mounted.
#[derive(Debug, Serialize)]
pub struct Mounted {
    app: AppName,
    mount: StorageMount,
    has_processes: bool,
}

impl Command for Mount {
    type Output = Mounted;

    // The folders belong to no app, so one who may change one app may not read those of another.
    fn permission(&self) -> Permission {
        Permission::Administer
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Mounted, Problem> {
        let app = super::app(platform, &self.app).await?;
        let mount = mount_of(platform, &self.mount)?;
        let others = platform.store.storage_mounts(app.id).await?;
        if let Some(other) = others.iter().find(|other| other.target == mount.target)
            && other.name != mount.name
        {
            return Err(Problem::new(
                Kind::Taken,
                format!("{} is taken in {}", mount.target, app.name),
                format!("{} is mounted there", other.name),
                format!(
                    "Take another path, or first: `storage:unmount {} {other}`",
                    app.name
                ),
            ));
        }
        ensure(platform, &mount.name).await?;
        platform
            .store
            .set_storage_mount(app.id, mount.clone())
            .await?;
        Ok(Mounted {
            app: app.name,
            mount,
            has_processes: app.current.is_some() && !app.is_stopped,
        })
    }
}

impl Output for Mounted {
    fn print(&self, page: &mut Page) {
        page.header(format!("Mounted {} for {}", self.mount, self.app));
        if self.has_processes {
            page.detail(format!(
                "what runs now does not see it yet: ps:restart {}",
                self.app
            ));
        }
    }
}
