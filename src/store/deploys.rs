//! Runs of the pipeline, as `builds:list` shows them.

use rusqlite::{Row, Transaction, params};

use super::{Store, StoreError, row};
use crate::model::{
    AppId, Deploy, DeployFailure, DeployId, DeployStatus, FailureReason, ReleaseVersion, Step,
    Timestamp,
};

/// How many deploys that have ended are remembered of each app.
const REMEMBERED: u32 = 20;

impl Store {
    /// Records a deploy, and forgets those of its app that have ended but for the newest 20. Returns the forgotten ones,
    /// whose events the journal need not keep. Written soon: a deploy that a loss of power takes back has promised nothing.
    ///
    /// # Errors
    /// `Taken` if there is a deploy of that id; `NotFound` if there is no such app.
    pub async fn add_deploy(&self, deploy: &Deploy) -> Result<Vec<DeployId>, StoreError> {
        let deploy = deploy.clone();
        self.write_soon(move |tx| {
            let added = tx
                .prepare_cached(
                    "INSERT INTO deploys (id, app_id, origin, commit_id, actor, step, status, release, started_at, \
                     finished_at, failure, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
                     ON CONFLICT (id) DO NOTHING",
                )?
                .execute(params![
                    deploy.id.as_str(),
                    deploy.app.0,
                    deploy.trigger.as_str(),
                    deploy.commit.as_ref().map(|commit| commit.as_str()),
                    deploy.actor,
                    deploy.step.as_str(),
                    deploy.status.as_str(),
                    deploy.release.map(|release| release.0),
                    row::micros(deploy.started_at),
                    deploy.finished_at.map(row::micros),
                    deploy.failure,
                    deploy.reason.map(FailureReason::as_str),
                ])?;
            if added == 0 {
                return Err(StoreError::Taken {
                    name: format!("the build id {}", deploy.id),
                    by: None,
                });
            }
            tx.prepare_cached(
                "DELETE FROM deploys WHERE id IN (\
                   SELECT id FROM deploys WHERE app_id = ?1 AND status <> 'running' \
                   ORDER BY started_at DESC, id DESC LIMIT -1 OFFSET ?2) RETURNING id",
            )?
            .query_and_then(params![deploy.app.0, REMEMBERED], |found| {
                row::text(found, "id")
            })?
            .collect()
        })
        .await
    }

    /// Says which step a deploy is in. Written soon: all that reads it after a loss of power is the message that says
    /// where the deploy was.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn set_deploy_step(&self, id: &DeployId, step: Step) -> Result<(), StoreError> {
        let id = id.clone();
        self.write_soon(move |tx| set_step(tx, &id, step, None))
            .await
    }

    /// Says how a deploy ended, and when.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn finish_deploy(
        &self,
        id: &DeployId,
        status: DeployStatus,
        failure: Option<DeployFailure>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let id = id.clone();
        let reason = failure.as_ref().and_then(|failure| failure.reason);
        self.write(move |tx| {
            let changed = tx
                .prepare_cached(
                    "UPDATE deploys SET status = ?2, failure = ?3, reason = ?4, finished_at = ?5 WHERE id = ?1",
                )?
                .execute(params![
                    id.as_str(),
                    status.as_str(),
                    failure.map(|failure| failure.why),
                    reason.map(FailureReason::as_str),
                    row::micros(at)
                ])?;
            found(changed, &id)
        })
        .await
    }

    /// The newest `limit` deploys of an app, newest first.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn deploys(&self, app: AppId, limit: usize) -> Result<Vec<Deploy>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(move |tx| {
            tx.prepare_cached(
                "SELECT * FROM deploys WHERE app_id = ?1 ORDER BY started_at DESC, id DESC LIMIT ?2",
            )?
            .query_and_then(params![app.0, limit], read)?
            .collect()
        })
        .await
    }

    /// One deploy.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn deploy(&self, id: &DeployId) -> Result<Option<Deploy>, StoreError> {
        let id = id.clone();
        self.read(move |tx| {
            tx.prepare_cached("SELECT * FROM deploys WHERE id = ?1")?
                .query_and_then([id.as_str()], read)?
                .next()
                .transpose()
        })
        .await
    }

    /// All with status running, oldest first: after a start these were interrupted.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn unfinished_deploys(&self) -> Result<Vec<Deploy>, StoreError> {
        self.read(|tx| {
            tx.prepare_cached(
                "SELECT * FROM deploys WHERE status = 'running' ORDER BY started_at, id",
            )?
            .query_and_then([], read)?
            .collect()
        })
        .await
    }
}

/// Says which step a deploy is in; `None` leaves the release it made as it was.
///
/// # Errors
/// `NotFound`.
pub(super) fn set_step(
    tx: &Transaction<'_>,
    id: &DeployId,
    step: Step,
    release: Option<ReleaseVersion>,
) -> Result<(), StoreError> {
    let changed = tx
        .prepare_cached(
            "UPDATE deploys SET step = ?2, release = coalesce(?3, release) WHERE id = ?1",
        )?
        .execute(params![
            id.as_str(),
            step.as_str(),
            release.map(|release| release.0)
        ])?;
    found(changed, id)
}

fn found(changed: usize, id: &DeployId) -> Result<(), StoreError> {
    if changed == 0 {
        return Err(StoreError::NotFound {
            what: format!("the build {id}"),
        });
    }
    Ok(())
}

fn read(found: &Row<'_>) -> Result<Deploy, StoreError> {
    Ok(Deploy {
        id: row::text(found, "id")?,
        app: AppId(found.get("app_id")?),
        trigger: row::text(found, "origin")?,
        commit: row::optional_text(found, "commit_id")?,
        actor: found.get("actor")?,
        step: row::text(found, "step")?,
        status: row::text(found, "status")?,
        release: found.get::<_, Option<u32>>("release")?.map(ReleaseVersion),
        started_at: row::moment(found.get("started_at")?)?,
        finished_at: found
            .get::<_, Option<i64>>("finished_at")?
            .map(row::moment)
            .transpose()?,
        failure: found.get("failure")?,
        reason: row::optional_text(found, "reason")?,
    })
}
