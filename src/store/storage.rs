//! Folders of the storage that containers see.

use rusqlite::{Row, Transaction, params};

use super::{Store, StoreError, row};
use crate::model::{AppId, AppMount, ContainerPath, StorageMount};

impl Store {
    /// The mounts of an app, by their path in its containers.
    ///
    /// # Errors
    /// `Damaged` if a row does not read.
    pub async fn storage_mounts(&self, app: AppId) -> Result<Vec<StorageMount>, StoreError> {
        self.read(move |tx| {
            tx.prepare_cached("SELECT * FROM storage_mounts WHERE app_id = ?1 ORDER BY target")?
                .query_and_then([app.0], read)?
                .collect()
        })
        .await
    }

    /// The mounts of all apps.
    ///
    /// # Errors
    /// `Damaged` if a row does not read.
    pub async fn all_storage_mounts(&self) -> Result<Vec<AppMount>, StoreError> {
        self.read(all).await
    }

    /// Adds a mount, or puts another at its path.
    ///
    /// # Errors
    /// `NotFound` if there is no such app.
    pub async fn set_storage_mount(
        &self,
        app: AppId,
        mount: StorageMount,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            tx.execute(
                "INSERT INTO storage_mounts (app_id, target, name, is_read_only) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (app_id, target) DO UPDATE SET name = excluded.name, is_read_only = excluded.is_read_only",
                params![app.0, mount.target.as_str(), mount.name.as_str(), mount.is_read_only],
            )?;
            Ok(())
        })
        .await
    }

    /// Removes what is mounted at a path. False if nothing was.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn remove_storage_mount(
        &self,
        app: AppId,
        target: ContainerPath,
    ) -> Result<bool, StoreError> {
        self.write(move |tx| {
            let removed = tx.execute(
                "DELETE FROM storage_mounts WHERE app_id = ?1 AND target = ?2",
                params![app.0, target.as_str()],
            )?;
            Ok(removed > 0)
        })
        .await
    }
}

/// The mounts of all apps, by app and path.
pub(super) fn all(tx: &Transaction<'_>) -> Result<Vec<AppMount>, StoreError> {
    tx.prepare_cached("SELECT * FROM storage_mounts ORDER BY app_id, target")?
        .query_and_then([], |found| {
            Ok(AppMount {
                app: AppId(found.get("app_id")?),
                mount: read(found)?,
            })
        })?
        .collect()
}

fn read(found: &Row<'_>) -> Result<StorageMount, StoreError> {
    Ok(StorageMount {
        name: row::text(found, "name")?,
        target: row::text(found, "target")?,
        is_read_only: found.get("is_read_only")?,
    })
}
