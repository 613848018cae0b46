//! Deploys without a push: the present image with a changed config, an old release again, the present commit anew.

use super::pipeline::{Built, Entry, Received, Runnable};
use super::{Attached, Deploys};
use crate::model::{
    App, AppName, Caller, Kind, Problem, Release, ReleaseStatus, ReleaseVersion, Trigger,
};

impl Deploys {
    /// A deploy of the present image with the present config (`config:set`, `ps:restart`).
    pub async fn redeploy(
        &self,
        app: &AppName,
        caller: &Caller,
        trigger: Trigger,
        description: String,
    ) -> Result<Attached, Problem> {
        let app = self.deployer.app(app).await?;
        let release = self.current(&app).await?;
        self.repeat(app, caller, trigger, release, description)
            .await
    }

    /// A build and deploy of the commit that is deployed (`ps:rebuild`).
    pub async fn rebuild(&self, app: &AppName, caller: &Caller) -> Result<Attached, Problem> {
        let app = self.deployer.app(app).await?;
        let release = self.current(&app).await?;
        let Some(commit) = release.commit else {
            return Err(Problem::new(
                Kind::Invalid,
                format!("{} cannot be built again", app.name),
                format!("its release {} was not made from a commit", release.version),
                "push its source with git",
            ));
        };
        let source = Some((commit.clone(), None));
        let run = self.deployer.new_run(app, Trigger::Rebuild, caller, source);
        self.deployer
            .begin(&run, Entry::Received(Received { commit }), true)
            .await?;
        Ok(run.attach_until_ended())
    }

    /// A new release from an old one, with the config of today; the previous one when `version` is none.
    pub async fn rollback(
        &self,
        app: &AppName,
        caller: &Caller,
        version: Option<ReleaseVersion>,
    ) -> Result<Attached, Problem> {
        let app = self.deployer.app(app).await?;
        let current = self.current(&app).await?;
        let mut releases = self.deployer.store.releases(app.id).await?;
        releases.retain(|release| {
            matches!(
                release.status,
                ReleaseStatus::Draining | ReleaseStatus::Retired
            )
        });
        releases.sort_by_key(|release| std::cmp::Reverse(release.version));
        let found = match version {
            Some(wanted) => releases.iter().find(|release| release.version == wanted),
            None => releases
                .iter()
                .find(|release| release.image != current.image),
        };
        let Some(release) = found.cloned() else {
            let wanted = version.map_or("earlier image".to_owned(), |wanted| wanted.to_string());
            let kept: Vec<String> = releases
                .iter()
                .map(|release| release.version.to_string())
                .collect();
            let kept = if kept.is_empty() {
                "none".to_owned()
            } else {
                kept.join(", ")
            };
            return Err(Problem::new(
                Kind::NotFound,
                format!(
                    "{} was not rolled back: there is no {wanted} to go back to",
                    app.name
                ),
                format!("the releases that can serve again: {kept}"),
                format!("`releases {}` lists all", app.name),
            ));
        };
        let description = format!("Rollback to {}", release.version);
        self.repeat(app, caller, Trigger::Rollback, release, description)
            .await
    }

    async fn repeat(
        &self,
        app: App,
        caller: &Caller,
        trigger: Trigger,
        release: Release,
        description: String,
    ) -> Result<Attached, Problem> {
        let built = Box::new(Built {
            commit: release.commit,
            image: release.image,
            runnable: Runnable {
                processes: release.processes,
                release_command: release.release_command,
                checks: release.checks,
            },
            description,
        });
        let entry = match trigger {
            Trigger::Config => Entry::Built(built),
            Trigger::Push | Trigger::Rollback | Trigger::Restart | Trigger::Rebuild => {
                Entry::Release(built)
            }
        };
        let run = self.deployer.new_run(app, trigger, caller, None);
        self.deployer.begin(&run, entry, true).await?;
        Ok(run.attach_until_ended())
    }

    async fn current(&self, app: &App) -> Result<Release, Problem> {
        let release = match app.current {
            Some(version) => self.deployer.store.release(app.id, version).await?,
            None => None,
        };
        release.ok_or_else(|| {
            Problem::new(
                Kind::NotFound,
                format!("App {} has not been deployed", app.name),
                "it has no release yet",
                "push its source: git push mini main",
            )
        })
    }
}
