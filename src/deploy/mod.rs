//! Owns the pipeline from a received push to retired old processes, and who waits for whom.
//! Must not know which door a request came through, nor start or stop an app process: it writes rows and waits.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::events::Event;
use crate::model::{AppName, Caller, CommitId, DeployId, Problem, ReleaseVersion};

/// One ref of a push, as git hands it to a hook. An all-zero id stands for "no such ref".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefUpdate {
    /// Full name: `refs/heads/main`.
    pub reference: String,
    /// Where it is.
    pub old: CommitId,
    /// Where it is to go.
    pub new: CommitId,
}

/// One run of `git receive-pack`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// Random, made by the door; hooks present it.
    pub id: String,
    /// The app pushed to.
    pub app: AppName,
    /// Who pushes.
    pub caller: Caller,
    /// Push options (`git push -o no-wait`).
    pub options: Vec<String>,
}

/// A hold on a deploy that goes on by itself. Dropping it leaves the deploy running.
pub struct Attached {
    /// The deploy.
    pub deploy: DeployId,
    /// Its events so far and as they come, ending where this wait ends (prepared, or the end of the deploy).
    pub events: BoxStream<'static, Event>,
    /// How what was waited for ended.
    pub outcome: BoxFuture<'static, Result<(), Problem>>,
}

/// All deploys of this server. Cheap to clone.
#[derive(Clone)]
pub struct Deploys {
    _inner: Arc<()>,
}

#[allow(unused_variables, clippy::todo)]
impl Deploys {
    /// pre-receive: cheap policy for the whole push. Creates nothing. Deletion of the deploy branch, a branch that is not
    /// the deploy branch, more than one branch at once are refused here.
    pub async fn admit(&self, push: &Push, updates: &[RefUpdate]) -> Result<(), Problem> {
        todo!()
    }

    /// proc-receive for one branch: begins the deploy, or joins the one that is under way for the same commit. The
    /// outcome is reached when the release is prepared (answer `ok`, fall-through) or the deploy failed (answer `ng`).
    pub async fn prepare(&self, push: &Push, update: &RefUpdate) -> Result<Attached, Problem> {
        todo!()
    }

    /// post-receive: git has moved the branch, so the prepared release is promoted. `None` when nothing of this push was
    /// to be deployed (tags only).
    pub async fn commit(
        &self,
        push: &Push,
        updates: &[RefUpdate],
    ) -> Result<Option<Attached>, Problem> {
        todo!()
    }

    /// receive-pack has ended, in whatever way. Finishes what its hooks did not: a prepared deploy whose client went away
    /// gets its branch moved here.
    pub async fn settle(&self, push: &Push) {
        todo!()
    }

    /// A deploy of the present image with the present config (`config:set`, `ps:restart`).
    pub async fn redeploy(
        &self,
        app: &AppName,
        caller: &Caller,
        trigger: crate::model::Trigger,
        description: String,
    ) -> Result<Attached, Problem> {
        todo!()
    }

    /// A build and deploy of the commit that is deployed (`ps:rebuild`).
    pub async fn rebuild(&self, app: &AppName, caller: &Caller) -> Result<Attached, Problem> {
        todo!()
    }

    /// A new release from an old one; the previous one when `version` is none.
    pub async fn rollback(
        &self,
        app: &AppName,
        caller: &Caller,
        version: Option<ReleaseVersion>,
    ) -> Result<Attached, Problem> {
        todo!()
    }

    /// Stops the deploy of an app that is going on, and the one that waits. Returns what was cancelled.
    pub async fn cancel(&self, app: &AppName) -> Result<Vec<DeployId>, Problem> {
        todo!()
    }

    /// The deploy of an app that is going on, if any.
    pub fn running(&self, app: &AppName) -> Option<DeployId> {
        todo!()
    }

    /// Takes an app out of deploys while it is renamed or destroyed: cancels what goes on, and keeps new ones out until
    /// the returned guard is dropped.
    pub async fn lock_out(&self, app: &AppName) -> Result<LockOut, Problem> {
        todo!()
    }
}

/// Keeps deploys of an app out while it is held.
pub struct LockOut {}
