//! Until when requests for an app wait. It is stored, so that a restart of the server neither ends a pause nor leaves
//! one that nobody ends.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Store, StoreError, row};
use crate::model::{AppId, Timestamp};

impl Store {
    /// Has requests for an app wait until `until`, in place of an earlier pause; answers the moment as it is stored.
    ///
    /// # Errors
    /// `NotFound` if there is no such app.
    pub async fn pause(&self, app: AppId, until: Timestamp) -> Result<Timestamp, StoreError> {
        self.write(move |tx| {
            tx.prepare_cached(
                "INSERT INTO pauses (app_id, paused_until) VALUES (?1, ?2) \
                 ON CONFLICT (app_id) DO UPDATE SET paused_until = excluded.paused_until",
            )?
            .execute(params![app.0, row::micros(until)])?;
            Ok(row::rounded(until))
        })
        .await
    }

    /// Ends the pause of an app; answers until when it would have been.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn resume(&self, app: AppId) -> Result<Option<Timestamp>, StoreError> {
        self.write(move |tx| {
            let until = tx
                .prepare_cached("DELETE FROM pauses WHERE app_id = ?1 RETURNING paused_until")?
                .query_row([app.0], |found| found.get(0))
                .optional()?;
            until.map(row::moment).transpose()
        })
        .await
    }

    /// Until when requests for an app wait or waited.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn paused_until(&self, app: AppId) -> Result<Option<Timestamp>, StoreError> {
        self.read(move |tx| Ok(all(tx)?.remove(&app))).await
    }
}

/// Every pause there is or was.
pub(super) fn all(tx: &Transaction<'_>) -> Result<BTreeMap<AppId, Timestamp>, StoreError> {
    tx.prepare_cached("SELECT app_id, paused_until FROM pauses")?
        .query_and_then([], |found| {
            let until = row::moment(found.get("paused_until")?)?;
            Ok((AppId(found.get("app_id")?), until))
        })?
        .collect()
}
