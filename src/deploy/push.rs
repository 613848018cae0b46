//! What the hooks of a push ask: may it, prepare it, commit it, it is over.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use futures_util::StreamExt;

use super::pipeline::{Entry, Received};
use super::run::{Move, Run};
use super::{Attached, Deployer, Deploys, Push, RefUpdate};
use crate::model::{App, AppName, BranchName, CommitId, Kind, Problem, Trigger};

/// What an update of one ref means for deploys.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    /// A tag, a note, or the deletion of a branch that is not deployed: stored as it is.
    Stored,
    /// The deploy branch moves to this commit.
    Deploy(BranchName),
}

impl Deploys {
    /// pre-receive: cheap policy for the whole push. Creates nothing. Deletion of the deploy branch, a branch that is not
    /// the deploy branch, more than one branch at once are refused here.
    pub async fn admit(&self, push: &Push, updates: &[RefUpdate]) -> Result<(), Problem> {
        let app = self.deployer.app(&push.app).await?;
        let mut deployed = None;
        for update in updates {
            if let Meaning::Deploy(branch) = meaning(&app, update)?
                && deployed.replace(branch).is_some()
            {
                return Err(Problem::new(
                    Kind::Invalid,
                    format!(
                        "{} was not deployed: two branches were pushed at once",
                        app.name
                    ),
                    "only one branch of an app is deployed",
                    "push one of them: git push mini main",
                ));
            }
        }
        Ok(())
    }

    /// proc-receive for one branch: begins the deploy, or joins the one that is under way for the same commit. The
    /// outcome is reached when the release is prepared (answer `ok`, fall-through) or the deploy failed (answer `ng`).
    pub async fn prepare(&self, push: &Push, update: &RefUpdate) -> Result<Attached, Problem> {
        let app = self.deployer.app(&push.app).await?;
        let Meaning::Deploy(branch) = meaning(&app, update)? else {
            return Ok(nothing_to_do());
        };
        for run in self.deployer.queue.of(&app.name) {
            let is_same = run.commit.as_ref() == Some(&update.new) && run.branch.is_some();
            if is_same && !run.is_ended() && !run.cancel.is_cancelled() {
                hold(&run, push);
                return Ok(attach(&run, push));
            }
        }
        let from = (!update.old.is_zero()).then(|| update.old.clone());
        let source = (update.new.clone(), Some(Move { branch, from }));
        let run = self
            .deployer
            .new_run(app, Trigger::Push, &push.caller, Some(source));
        hold(&run, push);
        let is_patient = !push.options.iter().any(|option| option == "no-wait");
        let entry = Entry::Received(Received {
            commit: update.new.clone(),
        });
        self.deployer.begin(&run, entry, is_patient).await?;
        Ok(attach(&run, push))
    }

    /// post-receive: git has moved the branch, so the prepared release is promoted. `None` when nothing of this push was
    /// to be deployed (tags only).
    pub async fn commit(
        &self,
        push: &Push,
        updates: &[RefUpdate],
    ) -> Result<Option<Attached>, Problem> {
        let Some(run) = self.held(push) else {
            return Ok(None);
        };
        if !updates.iter().any(|update| is_of(&run, update)) {
            return Ok(None);
        }
        run.holders
            .send_modify(|holders| holders.is_committed = true);
        Ok(Some(run.attach_until_ended()))
    }

    /// receive-pack has ended, in whatever way. Finishes what its hooks did not: a prepared deploy whose client went away
    /// gets its branch moved here.
    pub async fn settle(&self, push: &Push) {
        if let Some(run) = self.held(push) {
            run.holders.send_modify(|holders| {
                holders.pushes.remove(&push.id);
                holders.mover.take_if(|mover| *mover == push.id);
            });
        }
    }

    fn held(&self, push: &Push) -> Option<Arc<Run>> {
        self.deployer
            .queue
            .of(&push.app)
            .into_iter()
            .find(|run| run.holders.borrow().pushes.contains(&push.id))
    }
}

/// Whether this update is that of the branch that a run deploys. A tag of the same commit is stored also where the branch is
/// refused.
fn is_of(run: &Run, update: &RefUpdate) -> bool {
    let branch = run.branch.as_ref().map(|movement| &movement.branch);
    let name = update.reference.strip_prefix("refs/heads/");
    name == branch.map(BranchName::as_str) && Some(&update.new) == run.commit.as_ref()
}

fn hold(run: &Run, push: &Push) {
    run.holders.send_modify(|holders| {
        holders.pushes.insert(push.id.clone());
    });
}

/// Attaches a push that holds a deploy, until the release is prepared and it is decided whose git moves the branch.
fn attach(run: &Arc<Run>, push: &Push) -> Attached {
    let attached = run.attach_until_prepared();
    let (run, id) = (run.clone(), push.id.clone());
    let (prepared, is_moved) = (attached.outcome, attached.is_moved.clone());
    let outcome = async move {
        prepared.await?;
        is_moved.store(run.is_moved_by_another(&id).await, Ordering::Relaxed);
        Ok(())
    };
    Attached {
        outcome: outcome.boxed(),
        ..attached
    }
}

fn nothing_to_do() -> Attached {
    Attached {
        deploy: crate::model::DeployId::new(crate::model::Timestamp::UNIX_EPOCH, 1),
        events: futures_util::stream::empty().boxed(),
        outcome: std::future::ready(Ok(())).boxed(),
        is_moved: Arc::default(),
    }
}

/// What an update means, by name alone.
fn meaning(app: &App, update: &RefUpdate) -> Result<Meaning, Problem> {
    let Some(name) = update.reference.strip_prefix("refs/heads/") else {
        return Ok(Meaning::Stored);
    };
    let branch: BranchName = name.parse()?;
    let is_deployed = match &app.deploy_branch {
        Some(deployed) => *deployed == branch,
        None => matches!(branch.as_str(), "main" | "master"),
    };
    let is_deletion = update.new.is_zero();
    match (is_deployed, is_deletion) {
        (true, false) => Ok(Meaning::Deploy(branch)),
        (false, true) => Ok(Meaning::Stored),
        (true, true) if app.deploy_branch.is_none() => Ok(Meaning::Stored),
        (true, true) => Err(Problem::new(
            Kind::Invalid,
            format!("{branch} was not deleted"),
            format!(
                "it is the deploy branch of {}: what is on it runs",
                app.name
            ),
            format!(
                "to remove the app with all it has: apps:destroy {}",
                app.name
            ),
        )),
        (false, false) => {
            let deployed = match &app.deploy_branch {
                Some(deployed) => deployed.clone(),
                None => "main".parse()?,
            };
            Err(wrong_branch(&app.name, &branch, &deployed))
        }
    }
}

/// The refusal of a branch that is not deployed, with the line to type instead.
pub(super) fn wrong_branch(app: &AppName, pushed: &BranchName, deployed: &BranchName) -> Problem {
    Problem::new(
        Kind::Invalid,
        format!("deploy did not complete, you must push to {deployed}"),
        format!("{app} deploys the branch {deployed}, and {pushed} was pushed"),
        format!("git push mini {pushed}:{deployed}"),
    )
}

/// The commit a branch is at must be the one that the push was made against, or git would refuse to move it after all
/// the work.
pub(super) async fn require_unmoved(deployer: &Deployer, run: &Run) -> Result<(), Problem> {
    let Some(movement) = &run.branch else {
        return Ok(());
    };
    let app = &run.app.name;
    let tip = deployer.repositories.tip(app, &movement.branch).await;
    let tip: Option<CommitId> = tip.map_err(|error| super::problem::git(app, &error))?;
    if tip == movement.from || (tip.is_some() && tip == run.commit) {
        return Ok(());
    }
    Err(super::problem::git(app, &crate::git::GitError::Moved))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AppId, Timestamp};

    fn check(deploy_branch: Option<&str>, reference: &str, new: char, expected: Option<Meaning>) {
        let app = App {
            id: AppId(1),
            name: "shop".parse().unwrap(),
            created_at: Timestamp::UNIX_EPOCH,
            deploy_branch: deploy_branch.map(|name| name.parse().unwrap()),
            is_stopped: false,
            current: None,
        };
        let id = |digit: char| digit.to_string().repeat(40).parse().unwrap();
        let update = RefUpdate {
            reference: reference.to_owned(),
            old: id('1'),
            new: id(new),
        };
        let found = meaning(&app, &update);
        assert_eq!(
            found.ok(),
            expected,
            "{reference} of an app that deploys {deploy_branch:?}"
        );
    }

    #[test]
    fn the_first_of_main_or_master_is_the_deploy_branch() {
        let deploy = |name: &str| Some(Meaning::Deploy(name.parse().unwrap()));
        check(None, "refs/heads/main", 'a', deploy("main"));
        check(None, "refs/heads/master", 'a', deploy("master"));
        check(None, "refs/heads/feature", 'a', None);
        check(Some("master"), "refs/heads/main", 'a', None);
        check(Some("master"), "refs/heads/master", 'a', deploy("master"));
    }

    #[test]
    fn deletions_spare_the_deploy_branch_and_tags_are_stored() {
        check(Some("main"), "refs/heads/main", '0', None);
        check(Some("main"), "refs/heads/old", '0', Some(Meaning::Stored));
        check(Some("main"), "refs/tags/v1", 'a', Some(Meaning::Stored));
        check(Some("main"), "refs/heads/a..b", 'a', None);
    }

    #[test]
    fn the_refusal_of_another_branch_names_the_line_to_type() {
        let problem = wrong_branch(
            &"shop".parse().unwrap(),
            &"feature".parse().unwrap(),
            &"main".parse().unwrap(),
        );
        assert_eq!(problem.next, "git push mini feature:main");
    }
}
