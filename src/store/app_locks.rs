//! Apps that take no new source.

use rusqlite::params;

use super::{Store, StoreError, row};
use crate::model::{AppId, AppLock, Timestamp};

impl Store {
    /// Who locked an app and when, if it is locked.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn app_lock(&self, app: AppId) -> Result<Option<AppLock>, StoreError> {
        self.read(move |tx| {
            tx.prepare_cached("SELECT locked_at, actor FROM app_locks WHERE app_id = ?1")?
                .query_and_then([app.0], |found| {
                    Ok(AppLock {
                        locked_at: row::moment(found.get("locked_at")?)?,
                        actor: found.get("actor")?,
                    })
                })?
                .next()
                .transpose()
        })
        .await
    }

    /// Locks an app. False if it was locked already, by whom and since when it stays then.
    ///
    /// # Errors
    /// `NotFound` if there is no such app.
    pub async fn lock_app(
        &self,
        app: AppId,
        actor: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let actor = actor.to_owned();
        self.write(move |tx| {
            let added = tx.execute(
                "INSERT INTO app_locks (app_id, locked_at, actor) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (app_id) DO NOTHING",
                params![app.0, row::micros(at), actor],
            )?;
            Ok(added > 0)
        })
        .await
    }

    /// Unlocks an app. False if it was not locked.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn unlock_app(&self, app: AppId) -> Result<bool, StoreError> {
        self.write(move |tx| {
            let removed = tx.execute("DELETE FROM app_locks WHERE app_id = ?1", [app.0])?;
            Ok(removed > 0)
        })
        .await
    }
}
