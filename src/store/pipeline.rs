//! What a deploy and its release become together: the end of one step and the beginning of the next share a transaction.

use std::sync::Arc;

use super::{Store, StoreError, apps, deploys, releases};
use crate::model::{
    AppId, BranchName, DeployId, Release, ReleaseStatus, ReleaseVersion, Step, Timestamp,
};

impl Store {
    /// Records the release that a deploy has made as its candidate, and that the deploy checks it now. The release gets
    /// the next number of its app. Written soon: a number that a loss of power takes back was promised to nobody, and
    /// may come again.
    ///
    /// # Errors
    /// `NotFound` if there is no such app or deploy.
    pub async fn add_candidate(
        &self,
        deploy: &DeployId,
        release: Release,
    ) -> Result<Release, StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        let deploy = deploy.clone();
        self.write_soon(move |tx| {
            let release = releases::add(tx, &seal, release)?;
            deploys::set_step(tx, &deploy, Step::Check, Some(release.version))?;
            Ok(release)
        })
        .await
    }

    /// Promises a release: it is prepared, and so is its deploy, once this returns the branch that was asked for, which
    /// the app adopts if it has none. Where the app deploys another branch, that one is returned and nothing is changed.
    ///
    /// # Errors
    /// `NotFound` if there is no such app, deploy or release.
    pub async fn prepare(
        &self,
        deploy: &DeployId,
        app: AppId,
        version: ReleaseVersion,
        branch: &BranchName,
    ) -> Result<BranchName, StoreError> {
        let (deploy, branch) = (deploy.clone(), branch.clone());
        self.write(move |tx| {
            let adopted = apps::adopt(tx, app, &branch)?;
            if adopted == branch {
                releases::set_status(tx, app, version, ReleaseStatus::Prepared)?;
                deploys::set_step(tx, &deploy, Step::Prepared, Some(version))?;
            }
            Ok(adopted)
        })
        .await
    }

    /// [`Store::promote`] as the step `route` of a deploy. Written soon: after a loss of power a release whose branch has
    /// moved is promoted again, and nobody is told that any other is live before [`Store::finish_deploy`] returns.
    ///
    /// # Errors
    /// As [`Store::promote`]; `NotFound` if there is no such deploy.
    pub async fn promote_by(
        &self,
        deploy: &DeployId,
        release: (AppId, ReleaseVersion),
        drain_until: Timestamp,
        start: bool,
    ) -> Result<Option<ReleaseVersion>, StoreError> {
        let deploy = deploy.clone();
        let (app, version) = release;
        self.write_soon(move |tx| {
            deploys::set_step(tx, &deploy, Step::Route, Some(version))?;
            releases::promote(tx, app, version, drain_until, start)
        })
        .await
    }
}
