//! `builds:list`

use clap::Args;
use serde::ser::Error;
use serde::{Deserialize, Serialize, Serializer};

use super::{duration, moment, shown_status, told_status};
use crate::commands::table::{lines, row};
use crate::commands::{self, Authorized, Command, Dialog, Page, Platform};
use crate::model::{AppName, Deploy, Permission, Problem};

/// List the builds of an app, newest first
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// The app
    pub app: AppName,
    /// How many
    #[arg(short, long, default_value_t = default_num())]
    #[serde(default = "default_num")]
    pub num: usize,
}

fn default_num() -> usize {
    20
}

/// Deploys, newest first.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Builds {
    #[serde(skip)]
    app: Option<AppName>,
    deploys: Vec<Listed>,
}

/// A deploy, with its status as it is shown.
#[derive(Debug)]
struct Listed {
    deploy: Deploy,
    status: &'static str,
}

impl Serialize for Listed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut value = serde_json::to_value(&self.deploy).map_err(S::Error::custom)?;
        if let Some(status) = value.get_mut("status") {
            *status = self.status.into();
        }
        value.serialize(serializer)
    }
}

impl Command for List {
    type Output = Builds;

    fn permission(&self) -> Permission {
        Permission::ReadApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Builds, Problem> {
        let app = authorized.app()?;
        let deploys = platform.store.deploys(app.id, self.num).await?;
        let waiting = platform.deploys.waiting();
        let listed = deploys.into_iter().map(|deploy| Listed {
            status: shown_status(&deploy, &waiting),
            deploy,
        });
        Ok(Builds {
            app: Some(app.name.clone()),
            deploys: listed.collect(),
        })
    }
}

impl commands::Output for Builds {
    fn print(&self, page: &mut Page) {
        if let Some(app) = &self.app {
            page.section(format!("{app} builds"));
        }
        if self.deploys.is_empty() {
            page.warning("There are no builds yet");
            return;
        }
        let mut rows = vec![row([
            "ID", "Status", "Trigger", "Commit", "Release", "Started", "Duration", "By",
        ])];
        rows.extend(self.deploys.iter().map(|Listed { deploy, status }| {
            row([
                deploy.id.as_str(),
                &told_status(status, deploy),
                deploy.trigger.as_str(),
                deploy.commit.as_ref().map_or("-", |commit| commit.short()),
                &deploy.release.map_or("-".to_owned(), |v| v.to_string()),
                &moment(deploy.started_at),
                &duration(deploy),
                &deploy.actor,
            ])
        }));
        for line in lines(&rows) {
            page.line(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Output;
    use crate::model::{AppId, DeployId, DeployStatus, ReleaseVersion, Step, Trigger};

    #[test]
    fn builds_stand_in_columns() {
        let started_at: crate::model::Timestamp = "2026-08-21T10:00:00Z".parse().unwrap();
        let deploy = Deploy {
            id: DeployId::new(started_at, 1),
            app: AppId(1),
            trigger: Trigger::Push,
            commit: Some("3f2c91a0000000000000000000000000000000aa".parse().unwrap()),
            actor: "me".to_owned(),
            step: Step::Live,
            status: DeployStatus::Succeeded,
            release: Some(ReleaseVersion(3)),
            started_at,
            finished_at: Some("2026-08-21T10:01:05Z".parse().unwrap()),
            failure: None,
            reason: None,
        };
        let builds = Builds {
            app: Some("blog".parse().unwrap()),
            deploys: vec![Listed {
                status: shown_status(&deploy, &[deploy.id.clone()].into()),
                deploy,
            }],
        };
        let mut page = Page::default();
        builds.print(&mut page);
        insta::assert_snapshot!(page.to_text());
        insta::assert_snapshot!(serde_json::to_string_pretty(&builds).unwrap());
    }
}
