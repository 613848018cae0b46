//! After a start: what the server was doing when it ended is finished where it was promised, and marked where it was not.

use std::sync::Arc;

use super::Deployer;
use super::route::postdeploy_of;
use crate::events::{EventBody, Subject};
use crate::model::{
    App, Deploy, DeployFailure, DeployStatus, Kind, Problem, Release, ReleaseStatus, Timestamp,
    Trigger,
};

/// What becomes of a deploy that was going on.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Its release serves already: only the record was missing.
    Succeeded,
    /// Its branch has moved, so the release is promised: it is promoted.
    Finish,
    /// It is marked, and what it started is removed.
    Interrupted,
}

/// Settles every deploy that was going on, and every release that belongs to none.
pub(super) async fn recover(deployer: &Arc<Deployer>) -> Result<(), Problem> {
    for deploy in deployer.store.unfinished_deploys().await? {
        let apps = deployer.store.apps().await?;
        let Some(app) = apps.into_iter().find(|app| app.id == deploy.app) else {
            continue;
        };
        let release = match deploy.release {
            Some(version) => deployer.store.release(app.id, version).await?,
            None => None,
        };
        let is_moved = is_moved(deployer, &app, &deploy).await;
        let verdict = verdict(&deploy, release.as_ref(), is_moved);
        tracing::info!(app = %app.name, deploy = %deploy.id, ?verdict, "a deploy was going on when mini ended");
        settle(deployer, &app, &deploy, release, verdict).await?;
    }
    for app in deployer.store.apps().await? {
        deployer.store.fail_unfinished(app.id).await?;
    }
    deployer.reconciler.wake();
    Ok(())
}

async fn is_moved(deployer: &Deployer, app: &App, deploy: &Deploy) -> bool {
    let Some((branch, commit)) = app.deploy_branch.as_ref().zip(deploy.commit.as_ref()) else {
        return false;
    };
    match deployer.repositories.tip(&app.name, branch).await {
        Ok(tip) => tip.as_ref() == Some(commit),
        Err(error) => {
            tracing::error!(app = %app.name, %error, "cannot read where the deploy branch is");
            false
        }
    }
}

fn verdict(deploy: &Deploy, release: Option<&Release>, is_moved: bool) -> Verdict {
    match release.map(|release| release.status) {
        Some(ReleaseStatus::Current | ReleaseStatus::Draining | ReleaseStatus::Retired) => {
            Verdict::Succeeded
        }
        Some(ReleaseStatus::Prepared) if deploy.trigger == Trigger::Push && is_moved => {
            Verdict::Finish
        }
        Some(ReleaseStatus::Candidate | ReleaseStatus::Prepared | ReleaseStatus::Failed) | None => {
            Verdict::Interrupted
        }
    }
}

async fn settle(
    deployer: &Arc<Deployer>,
    app: &App,
    deploy: &Deploy,
    release: Option<Release>,
    verdict: Verdict,
) -> Result<(), Problem> {
    let now = Timestamp::now();
    let subject = Subject::Deploy(deploy.id.clone());
    let store = &deployer.store;
    let postdeploy = |release: &Release| {
        let line = postdeploy_of(release, deploy.trigger);
        line.map(str::to_owned)
    };
    match (verdict, release) {
        (Verdict::Succeeded, release) => {
            if let Some(line) = release.as_ref().and_then(postdeploy) {
                let text = format!(
                    "mini was stopped before the postdeploy command was seen to end: `{line}`; where it has not, `run {} COMMAND` does what is missing",
                    app.name
                );
                let warning = EventBody::Warning { text };
                deployer.journal.emit(&subject, warning).await;
            }
            store
                .finish_deploy(&deploy.id, DeployStatus::Succeeded, None, now)
                .await?;
            deployer.journal.emit(&subject, EventBody::Done).await;
        }
        (Verdict::Finish, Some(release)) => {
            let drain_until = deployer.reconciler.rules().drain_until(now);
            store
                .promote(app.id, release.version, drain_until, release.starts_app())
                .await?;
            store
                .finish_deploy(&deploy.id, DeployStatus::Succeeded, None, now)
                .await?;
            let text =
                "mini was stopped before this release served; it was finished at the next start";
            deployer
                .journal
                .emit(
                    &subject,
                    EventBody::Warning {
                        text: text.to_owned(),
                    },
                )
                .await;
            if let Some(line) = postdeploy(&release) {
                let text = format!(
                    "The postdeploy command was not run: `{line}`; `run {} COMMAND` does it",
                    app.name
                );
                let warning = EventBody::Warning { text };
                deployer.journal.emit(&subject, warning).await;
            }
            deployer.journal.emit(&subject, EventBody::Done).await;
        }
        (Verdict::Interrupted | Verdict::Finish, release) => {
            if let Some(release) = release {
                let status = ReleaseStatus::Failed;
                store
                    .set_release_status(app.id, release.version, status)
                    .await?;
            }
            let problem = Problem::new(
                Kind::Canceled,
                format!(
                    "{} was not deployed: mini was stopped in the middle",
                    app.name
                ),
                format!("it was at the step `{}`", deploy.step),
                "push again; what served before still serves",
            );
            let failure = Some(DeployFailure::from(&problem));
            store
                .finish_deploy(&deploy.id, DeployStatus::Interrupted, failure, now)
                .await?;
            deployer
                .journal
                .emit(&subject, EventBody::Failed { problem })
                .await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AppId, DeployId, Step};

    #[test]
    fn only_a_promised_release_is_finished() {
        let deploy = |trigger| Deploy {
            id: DeployId::new(Timestamp::UNIX_EPOCH, 1),
            app: AppId(1),
            trigger,
            commit: None,
            actor: "me".to_owned(),
            step: Step::Prepared,
            status: DeployStatus::Running,
            release: None,
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: None,
            failure: None,
            reason: None,
        };
        let release = |status| Release {
            app: AppId(1),
            version: crate::model::ReleaseVersion(1),
            status,
            image: format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
            commit: None,
            processes: Default::default(),
            release_command: None,
            postdeploy_command: None,
            formation: None,
            start_command: None,
            port: 5000,
            checks: Default::default(),
            config: Default::default(),
            trigger: Trigger::Push,
            description: String::new(),
            actor: "me".to_owned(),
            created_at: Timestamp::UNIX_EPOCH,
            drain_until: None,
        };
        let check = |trigger, status: Option<ReleaseStatus>, is_moved, expected| {
            let release = status.map(release);
            assert_eq!(
                verdict(&deploy(trigger), release.as_ref(), is_moved),
                expected
            );
        };
        check(Trigger::Push, None, true, Verdict::Interrupted);
        check(
            Trigger::Push,
            Some(ReleaseStatus::Candidate),
            true,
            Verdict::Interrupted,
        );
        check(
            Trigger::Push,
            Some(ReleaseStatus::Prepared),
            false,
            Verdict::Interrupted,
        );
        check(
            Trigger::Push,
            Some(ReleaseStatus::Prepared),
            true,
            Verdict::Finish,
        );
        check(
            Trigger::Config,
            Some(ReleaseStatus::Prepared),
            true,
            Verdict::Interrupted,
        );
        check(
            Trigger::Rollback,
            Some(ReleaseStatus::Current),
            false,
            Verdict::Succeeded,
        );
    }
}
