//! `repo:purge-cache`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Permission, Problem};

/// Have the next build of an app begin without a cache
///
/// Every step is run again and every package is fetched again. Docker knows no cache by app: what the old one takes on the
/// disk is freed by its own garbage collection, or by `docker builder prune`.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurgeCache {
    /// The app
    pub app: AppName,
}

/// Whose cache it was.
#[derive(Debug, Serialize)]
pub struct Purged {
    app: AppName,
}

impl Command for PurgeCache {
    type Output = Purged;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Purged, Problem> {
        let app = authorized.app()?;
        platform.store.purge_build_cache(app.id).await?;
        Ok(Purged {
            app: app.name.clone(),
        })
    }
}

impl Output for Purged {
    fn print(&self, page: &mut Page) {
        page.header(format!(
            "The next build of {} begins without a cache",
            self.app
        ));
    }
}
