//! `apps:create`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Permission, Problem, Timestamp};
use crate::store::StoreError;

/// Create an app
///
/// An app is also created by the first push to its name. Creating it before lets you set config vars and domains first.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Its name: lower-case letters, digits, dots and hyphens
    pub app: AppName,
}

/// The app that was created.
#[derive(Debug, Serialize)]
pub struct Created {
    name: AppName,
}

impl Command for Create {
    type Output = Created;

    fn permission(&self) -> Permission {
        Permission::Anyone
    }

    async fn run(
        self,
        platform: &Platform,
        _authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Created, Problem> {
        self.app.require_new()?;
        // Who makes it, or destroys it, may take a while.
        if platform.store.app(&self.app).await?.is_some() {
            return Err(super::taken(&self.app));
        }
        let _claim = platform.repositories.claim(&self.app).await;
        let created = platform.store.create_app(&self.app, Timestamp::now()).await;
        match created {
            Err(StoreError::Taken { .. }) => {
                return Err(super::taken(&self.app));
            }
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        // Where this fails the app is there all the same, and its first push makes the repository.
        platform.repositories.create(&self.app).await?;
        // Whoever is told that it is there may visit it at once.
        platform.reconciler.wait_for(|_| true).await;
        Ok(Created { name: self.app })
    }
}

impl Output for Created {
    fn print(&self, page: &mut Page) {
        page.header(format!("Creating {}...", self.name));
    }
}
