//! `builds:output`

use clap::Args;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::chosen;
use crate::commands::{self, Authorized, Command, Dialog, Page, Platform, progress};
use crate::events::{Event, Subject};
use crate::model::{AppName, DeployStatus, Permission, Problem};

/// Print the output of a build from its beginning, and go on while it does
///
/// Leaving does not stop the build. Exits with 1 if the build failed.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// The app
    pub app: AppName,
    /// Its id from `builds:list`; `current` or nothing is the one that goes on, else the last
    #[serde(default)]
    pub id: Option<String>,
}

/// The events of a build and how it ended.
#[derive(Debug, Serialize)]
pub struct Watched {
    status: DeployStatus,
    events: Vec<Event>,
}

impl Command for Output {
    type Output = Watched;

    fn permission(&self) -> Permission {
        Permission::ReadApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Watched, Problem> {
        let app = authorized.app()?;
        let deploy = chosen(platform, app, self.id.as_deref()).await?;
        let subject = Subject::Deploy(deploy.id.clone());
        let mut stored = platform.journal.follow(&subject, 1);
        let mut events = Vec::new();
        loop {
            let event = tokio::select! {
                event = stored.next() => event,
                () = dialog.gone() => break,
            };
            match event {
                Some(event) if dialog.is_text() => progress::show(dialog, &event).await,
                Some(event) => events.push(event),
                None => break,
            }
        }
        let end = platform.store.deploy(&deploy.id).await?;
        Ok(Watched {
            status: end.map_or(deploy.status, |deploy| deploy.status),
            events,
        })
    }
}

impl commands::Output for Watched {
    fn print(&self, _page: &mut Page) {}

    fn exit_code(&self) -> u8 {
        match self.status {
            DeployStatus::Running | DeployStatus::Succeeded => 0,
            DeployStatus::Failed
            | DeployStatus::Canceled
            | DeployStatus::Interrupted
            | DeployStatus::Superseded => 1,
        }
    }
}
