//! Apps: their names, deploy branch, and whether they are stopped.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{Store, StoreError, row};
use crate::model::{App, AppId, AppName, BranchName, ReleaseVersion, Timestamp};

const SELECT: &str = "SELECT id, name, created_at, deploy_branch, is_stopped, \
     (SELECT version FROM releases WHERE app_id = apps.id AND status = 'current') AS current \
     FROM apps";

impl Store {
    /// Records a new app without branch or release.
    ///
    /// # Errors
    /// `Taken` if an app has that name.
    pub async fn create_app(&self, name: &AppName, at: Timestamp) -> Result<App, StoreError> {
        let name = name.clone();
        self.write(move |tx| add(tx, &name, at)).await
    }

    /// All apps in the order of their names.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn apps(&self) -> Result<Vec<App>, StoreError> {
        self.read(all).await
    }

    /// The app of that name.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn app(&self, name: &AppName) -> Result<Option<App>, StoreError> {
        let name = name.clone();
        self.read(move |tx| {
            tx.prepare_cached(&format!("{SELECT} WHERE name = ?1"))?
                .query_and_then([name.as_str()], read)?
                .next()
                .transpose()
        })
        .await
    }

    /// Gives an app another name; its own one changes nothing.
    ///
    /// # Errors
    /// `Taken` if another app has that name; `NotFound`.
    pub async fn rename_app(&self, id: AppId, name: &AppName) -> Result<(), StoreError> {
        let name = name.clone();
        self.write(move |tx| {
            if owner(tx, &name)? == Some(id) {
                return Ok(());
            }
            refuse_taken(tx, &name)?;
            let changed = tx
                .prepare_cached("UPDATE apps SET name = ?2 WHERE id = ?1")?
                .execute(params![id.0, name.as_str()])?;
            found(changed)
        })
        .await
    }

    /// Forgets an app and everything that belongs to it. Its id is never given again.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn destroy_app(&self, id: AppId) -> Result<(), StoreError> {
        self.write(move |tx| {
            found(
                tx.prepare_cached("DELETE FROM apps WHERE id = ?1")?
                    .execute([id.0])?,
            )
        })
        .await
    }

    /// Adopts the deploy branch if none is set yet; returns the one in force.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn adopt_branch(
        &self,
        id: AppId,
        branch: &BranchName,
    ) -> Result<BranchName, StoreError> {
        let branch = branch.clone();
        self.write(move |tx| adopt(tx, id, &branch)).await
    }

    /// Notes that what is run at the first deploy of an app only is run now; false if it was noted before.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn begin_set_up(&self, id: AppId) -> Result<bool, StoreError> {
        self.write(move |tx| {
            let changed = tx
                .prepare_cached("UPDATE apps SET is_set_up = 1 WHERE id = ?1 AND is_set_up = 0")?
                .execute([id.0])?;
            Ok(changed > 0)
        })
        .await
    }

    /// Takes that back, where it could not be begun after all.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn take_back_set_up(&self, id: AppId) -> Result<(), StoreError> {
        self.write(move |tx| {
            tx.prepare_cached("UPDATE apps SET is_set_up = 0 WHERE id = ?1")?
                .execute([id.0])?;
            Ok(())
        })
        .await
    }

    /// Says whether the processes of an app are to run.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn set_stopped(&self, id: AppId, is_stopped: bool) -> Result<(), StoreError> {
        self.write(move |tx| {
            found(
                tx.prepare_cached("UPDATE apps SET is_stopped = ?2 WHERE id = ?1")?
                    .execute(params![id.0, is_stopped])?,
            )
        })
        .await
    }
}

/// See [`Store::create_app`].
pub(super) fn add(tx: &Transaction<'_>, name: &AppName, at: Timestamp) -> Result<App, StoreError> {
    refuse_taken(tx, name)?;
    tx.prepare_cached("INSERT INTO apps (name, created_at) VALUES (?1, ?2)")?
        .execute(params![name.as_str(), row::micros(at)])?;
    Ok(App {
        id: AppId(tx.last_insert_rowid()),
        name: name.clone(),
        created_at: row::rounded(at),
        deploy_branch: None,
        is_stopped: false,
        current: None,
    })
}

/// The deploy branch of an app, if it has one.
pub(super) fn branch(tx: &Transaction<'_>, id: AppId) -> Result<Option<BranchName>, StoreError> {
    tx.prepare_cached("SELECT deploy_branch FROM apps WHERE id = ?1")?
        .query_and_then([id.0], |found| row::optional_text(found, "deploy_branch"))?
        .next()
        .unwrap_or_else(|| Err(missing()))
}

/// All apps in the order of their names.
pub(super) fn all(tx: &Transaction<'_>) -> Result<Vec<App>, StoreError> {
    tx.prepare_cached(&format!("{SELECT} ORDER BY name"))?
        .query_and_then([], read)?
        .collect()
}

/// See [`Store::adopt_branch`].
pub(super) fn adopt(
    tx: &Transaction<'_>,
    id: AppId,
    branch: &BranchName,
) -> Result<BranchName, StoreError> {
    tx.prepare_cached(
        "UPDATE apps SET deploy_branch = coalesce(deploy_branch, ?2) WHERE id = ?1 RETURNING deploy_branch",
    )?
    .query_and_then(params![id.0, branch.as_str()], |found| {
        row::text(found, "deploy_branch")
    })?
    .next()
    .unwrap_or_else(|| Err(missing()))
}

/// That the one row which was to change has changed.
pub(super) fn found(changed: usize) -> Result<(), StoreError> {
    if changed == 0 { Err(missing()) } else { Ok(()) }
}

fn missing() -> StoreError {
    StoreError::NotFound {
        what: "the app".to_owned(),
    }
}

fn owner(tx: &Transaction<'_>, name: &AppName) -> Result<Option<AppId>, StoreError> {
    Ok(tx
        .prepare_cached("SELECT id FROM apps WHERE name = ?1")?
        .query_row([name.as_str()], |found| found.get(0).map(AppId))
        .optional()?)
}

fn refuse_taken(tx: &Transaction<'_>, name: &AppName) -> Result<(), StoreError> {
    match owner(tx, name)? {
        None => Ok(()),
        Some(_) => Err(StoreError::Taken {
            name: name.to_string(),
            by: None,
        }),
    }
}

fn read(found: &Row<'_>) -> Result<App, StoreError> {
    Ok(App {
        id: AppId(found.get("id")?),
        name: row::text(found, "name")?,
        created_at: row::moment(found.get("created_at")?)?,
        deploy_branch: row::optional_text(found, "deploy_branch")?,
        is_stopped: found.get("is_stopped")?,
        current: found.get::<_, Option<u32>>("current")?.map(ReleaseVersion),
    })
}
