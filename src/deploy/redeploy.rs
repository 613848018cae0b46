//! Deploys without a push: the present image with a changed config, an old release again, the present commit anew.

use super::pipeline::{Built, Entry, Received, Runnable};
use super::{Attached, Deployer, Deploys};
use crate::model::{
    App, AppName, Caller, Kind, Problem, Release, ReleaseStatus, ReleaseVersion, Trigger,
};

impl Deploys {
    /// A deploy of the present image with the present config (`config:set`). Where a deploy waits already, this one
    /// joins it: it reads the config when its turn comes.
    pub async fn reconfigure(
        &self,
        app: &AppName,
        caller: &Caller,
        description: String,
    ) -> Result<Attached, Problem> {
        let app = self.deployer.app(app).await?;
        let waiting = self.deployer.queue.waiting(&app.name);
        if let Some(waiting) = waiting.filter(|waiting| waiting.takes_config()) {
            return Ok(waiting.attach_until_ended());
        }
        current(&self.deployer, &app).await?;
        self.begin(
            app,
            caller,
            Trigger::Config,
            Entry::Reconfigure(description),
        )
        .await
    }

    /// Starts all processes anew without an interruption (`ps:restart`). Joins a deploy that waits already.
    pub async fn restart(
        &self,
        app: &AppName,
        caller: &Caller,
        description: String,
    ) -> Result<Attached, Problem> {
        let app = self.deployer.app(app).await?;
        let waiting = self.deployer.queue.waiting(&app.name);
        if let Some(waiting) = waiting.filter(|waiting| waiting.takes_config()) {
            return Ok(waiting.attach_until_ended());
        }
        current(&self.deployer, &app).await?;
        self.begin(app, caller, Trigger::Restart, Entry::Restart(description))
            .await
    }

    /// A build and deploy of the commit that is deployed (`ps:rebuild`).
    pub async fn rebuild(&self, app: &AppName, caller: &Caller) -> Result<Attached, Problem> {
        let app = self.deployer.app(app).await?;
        // What cannot be is refused at once and leaves no record; the turn looks again.
        deployed_source(&self.deployer, &app).await?;
        self.begin(app, caller, Trigger::Rebuild, Entry::Rebuild)
            .await
    }

    /// A new release from an old one, with the config of today; the newest with another image when `version` is none.
    pub async fn rollback(
        &self,
        app: &AppName,
        caller: &Caller,
        version: Option<ReleaseVersion>,
    ) -> Result<Attached, Problem> {
        let app = self.deployer.app(app).await?;
        earlier(&self.deployer, &app, version).await?;
        self.begin(app, caller, Trigger::Rollback, Entry::Rollback(version))
            .await
    }

    /// The first deploy of an app that is a copy of another one (`apps:clone`): of the image that runs there, with the config
    /// of its own.
    pub async fn deploy_clone(
        &self,
        app: &AppName,
        caller: &Caller,
        of: &AppName,
    ) -> Result<Attached, Problem> {
        let app = self.deployer.app(app).await?;
        deployed_of(&self.deployer, of).await?;
        self.begin(app, caller, Trigger::Rebuild, Entry::Clone(of.clone()))
            .await
    }

    async fn begin(
        &self,
        app: App,
        caller: &Caller,
        trigger: Trigger,
        entry: Entry,
    ) -> Result<Attached, Problem> {
        let run = self.deployer.new_run(app, trigger, caller, None);
        self.deployer.begin(&run, entry, true).await?;
        Ok(run.attach_until_ended())
    }
}

/// The commit of the present release.
pub(super) async fn deployed_source(deployer: &Deployer, app: &App) -> Result<Received, Problem> {
    let release = current(deployer, app).await?;
    match release.commit {
        Some(commit) => Ok(Received { commit }),
        None => Err(Problem::new(
            Kind::Invalid,
            format!("{} cannot be built again", app.name),
            format!("its release {} was not made from a commit", release.version),
            "push its source with git",
        )),
    }
}

/// The image of the present release.
pub(super) async fn deployed(
    deployer: &Deployer,
    app: &App,
    description: String,
) -> Result<Built, Problem> {
    Ok(built(current(deployer, app).await?, description))
}

/// The image that runs as another app.
pub(super) async fn deployed_of(deployer: &Deployer, of: &AppName) -> Result<Built, Problem> {
    let app = deployer.app(of).await?;
    let release = current(deployer, &app).await?;
    let description = format!("Clone of {of} {}", release.version);
    Ok(built(release, description))
}

/// The image of an old release.
pub(super) async fn earlier(
    deployer: &Deployer,
    app: &App,
    version: Option<ReleaseVersion>,
) -> Result<Built, Problem> {
    let current = current(deployer, app).await?;
    let mut releases = deployer.store.releases(app.id).await?;
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
    if let Some(release) = found.cloned() {
        let description = format!("Rollback to {}", release.version);
        return Ok(built(release, description));
    }
    if let (None, Some(newest)) = (version, releases.first()) {
        return Err(Problem::new(
            Kind::NotFound,
            format!(
                "{} was not rolled back: there is no earlier image to go back to",
                app.name
            ),
            "every release that is kept has the image that runs",
            format!(
                "`rollback {} {}` makes a release of that one all the same",
                app.name, newest.version
            ),
        ));
    }
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
    Err(Problem::new(
        Kind::NotFound,
        format!(
            "{} was not rolled back: there is no {wanted} to go back to",
            app.name
        ),
        format!("the releases that can serve again: {kept}"),
        format!("`releases {}` lists all", app.name),
    ))
}

fn built(release: Release, description: String) -> Built {
    Built {
        commit: release.commit,
        image: release.image,
        runnable: Runnable {
            processes: release.processes,
            release_command: release.release_command,
            postdeploy_command: release.postdeploy_command,
            setup_command: None,
            formation: release.formation,
            checks: release.checks,
        },
        description,
    }
}

async fn current(deployer: &Deployer, app: &App) -> Result<Release, Problem> {
    // Read anew: the deploy ahead may have changed it.
    let release = match deployer.app(&app.name).await?.current {
        Some(version) => deployer.store.release(app.id, version).await?,
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
