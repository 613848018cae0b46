//! `storage:list`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Permission, Problem, StorageMount};

/// List what the containers of an app keep, and where they see it
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// The app
    pub app: AppName,
}

/// The mounts of an app.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Mounts {
    #[serde(skip)]
    app: AppName,
    mounts: Vec<StorageMount>,
}

impl Command for List {
    type Output = Mounts;

    fn permission(&self) -> Permission {
        Permission::ReadApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Mounts, Problem> {
        let app = authorized.app()?;
        Ok(Mounts {
            app: app.name.clone(),
            mounts: platform.store.storage_mounts(app.id).await?,
        })
    }
}

impl Output for Mounts {
    fn print(&self, page: &mut Page) {
        page.header(format!("Storage of {}", self.app));
        for mount in &self.mounts {
            page.detail(mount.to_string());
        }
    }
}
