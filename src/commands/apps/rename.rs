//! `apps:rename`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform, progress};
use crate::model::{App, AppName, Permission, Problem};

/// Rename an app
///
/// The processes of a deployed app are started again under the new name, which interrupts it for a moment. The address
/// made of its old name stops answering.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// The app
    pub app: AppName,
    /// Its new name
    pub new_name: AppName,
}

/// The app under its new name.
#[derive(Debug, Serialize)]
pub struct Renamed {
    old_name: AppName,
    name: AppName,
}

impl Command for Rename {
    type Output = Renamed;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Renamed, Problem> {
        let app = authorized.app()?;
        self.new_name.require_new()?;
        if platform.store.app(&self.new_name).await?.is_some() {
            return Err(super::taken(&self.new_name));
        }
        dialog
            .header(format!("Renaming {} to {}", app.name, self.new_name))
            .await;
        rename(platform, app, &self.new_name).await?;
        if app.current.is_some() {
            let attached = platform
                .deploys
                .restart(
                    &self.new_name,
                    dialog.caller(),
                    format!("Rename from {}", app.name),
                )
                .await?;
            progress::follow(dialog, attached).await?;
        } else {
            platform.reconciler.wait_for(|_| true).await;
        }
        Ok(Renamed {
            old_name: self.app,
            name: self.new_name,
        })
    }
}

/// Moves the repository, then the row. A crash between the two leaves the old name with its repository moved already,
/// and the same command again carries on from there.
async fn rename(platform: &Platform, app: &App, new_name: &AppName) -> Result<(), Problem> {
    let repositories = &platform.repositories;
    // In one order, as whoever renames the other way round does.
    let (first, second) = (new_name.min(&app.name), new_name.max(&app.name));
    if first == second {
        return Err(super::taken(new_name));
    }
    let _claims = (
        repositories.claim(first).await,
        repositories.claim(second).await,
    );
    // Somebody may have been faster, and its repository is not to be taken for one that was moved already.
    if platform.store.app(new_name).await?.is_some() {
        return Err(super::taken(new_name));
    }
    super::require_same(platform, app).await?;
    let _lock_out = platform.deploys.lock_out(&app.name).await?;
    let is_there = async |name: &AppName| {
        let path = platform.repositories.path(name);
        tokio::fs::try_exists(path).await.unwrap_or(false)
    };
    if is_there(&app.name).await || !is_there(new_name).await {
        platform.repositories.create(&app.name).await?;
        platform.repositories.rename(&app.name, new_name).await?;
    }
    if let Err(error) = platform.store.rename_app(app.id, new_name).await {
        if let Err(undo) = platform.repositories.rename(new_name, &app.name).await {
            tracing::error!(app = %app.name, %undo, "a repository could not be moved back after a failed rename");
        }
        return Err(error.into());
    }
    if let Err(error) = platform.access_logs.rename(&app.name, new_name).await {
        tracing::warn!(app = %app.name, %new_name, %error, "an access log could not be moved");
    }
    Ok(())
}

impl Output for Renamed {
    fn print(&self, _page: &mut Page) {}
}
