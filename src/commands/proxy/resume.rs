//! `proxy:resume`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppName, Permission, Problem, Timestamp};

/// End what proxy:pause began: the requests that wait are forwarded
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// The app
    pub app: AppName,
}

/// An app that is not paused any more.
#[derive(Debug, Serialize)]
pub struct Resumed {
    app: AppName,
    was_paused: bool,
}

impl Command for Resume {
    type Output = Resumed;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Resumed, Problem> {
        let app = authorized.app()?;
        let until = platform.store.resume(app.id).await?;
        platform.reconciler.wait_for(|_| true).await;
        Ok(Resumed {
            app: app.name.clone(),
            was_paused: until.is_some_and(|until| Timestamp::now() < until),
        })
    }
}

impl Output for Resumed {
    fn print(&self, page: &mut Page) {
        if self.was_paused {
            page.section(format!("{} goes on", self.app));
        } else {
            page.section(format!("{} was not paused", self.app));
        }
    }
}
