//! `apps:locked`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::builds::moment;
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{AppLock, AppName, Permission, Problem};

/// Answer by exit status whether an app is locked: 0 if it is, 1 if not
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// The app
    pub app: AppName,
}

/// Whether it is.
#[derive(Debug, Serialize)]
pub struct Answer {
    locked: bool,
    #[serde(flatten)]
    lock: Option<AppLock>,
}

impl Command for Locked {
    type Output = Answer;

    fn permission(&self) -> Permission {
        Permission::ReadApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Answer, Problem> {
        let lock = platform.store.app_lock(authorized.app()?.id).await?;
        Ok(Answer {
            locked: lock.is_some(),
            lock,
        })
    }
}

impl Output for Answer {
    fn print(&self, page: &mut Page) {
        match &self.lock {
            Some(lock) => page.header(format!(
                "Deploy lock exists, by {} since {}",
                lock.actor,
                moment(lock.locked_at)
            )),
            None => page.header("Deploy lock does not exist"),
        }
    }

    fn exit_code(&self) -> u8 {
        u8::from(!self.locked)
    }
}
