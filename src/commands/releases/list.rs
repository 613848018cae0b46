//! `releases`

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::commands::builds::moment;
use crate::commands::table::{lines, row};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{
    AppName, Permission, Problem, Release, ReleaseStatus, ReleaseVersion, Timestamp,
};

/// List the releases of an app, newest first
///
/// `releases:info` tells more of one of them, `rollback` goes back to one.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Releases {
    /// The app
    pub app: AppName,
}

/// A release as the list shows it.
#[derive(Debug, Serialize)]
pub struct Line {
    version: ReleaseVersion,
    status: ReleaseStatus,
    description: String,
    commit: Option<String>,
    actor: String,
    created_at: Timestamp,
}

/// The releases of an app.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct List {
    #[serde(skip)]
    app: Option<AppName>,
    releases: Vec<Line>,
}

impl Command for Releases {
    type Output = List;

    fn permission(&self) -> Permission {
        Permission::ReadApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<List, Problem> {
        let app = authorized.app()?;
        let mut releases = platform.store.releases(app.id).await?;
        releases.sort_by_key(|release| std::cmp::Reverse(release.version));
        Ok(List {
            app: Some(app.name.clone()),
            releases: releases.into_iter().map(Line::from).collect(),
        })
    }
}

impl From<Release> for Line {
    fn from(release: Release) -> Self {
        Self {
            version: release.version,
            status: release.status,
            description: release.description,
            commit: release.commit.map(String::from),
            actor: release.actor,
            created_at: release.created_at,
        }
    }
}

impl Output for List {
    fn print(&self, page: &mut Page) {
        if let Some(app) = &self.app {
            page.section(format!("{app} releases"));
        }
        if self.releases.is_empty() {
            page.warning("There are no releases yet");
            return;
        }
        let mut rows = vec![row(["Release", "Status", "Description", "Created", "By"])];
        rows.extend(self.releases.iter().map(|release| {
            row([
                &release.version.to_string(),
                release.status.as_str(),
                &release.description,
                &moment(release.created_at),
                &release.actor,
            ])
        }));
        for line in lines(&rows) {
            page.line(line);
        }
    }
}
