//! How many processes an app runs of each type, and which of them were asked to start anew.

use std::collections::BTreeMap;

use rusqlite::{Row, Transaction, params};

use super::{Store, StoreError, row};
use crate::model::{AppId, ProcessType, Scale, Timestamp};

impl Store {
    /// The quantities that were set; types without one follow [`Scale::quantity`].
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn scale(&self, app: AppId) -> Result<Scale, StoreError> {
        self.read(move |tx| {
            tx.prepare_cached("SELECT process_type, quantity FROM scales WHERE app_id = ?1")?
                .query_and_then([app.0], read)?
                .collect::<Result<_, _>>()
                .map(Scale)
        })
        .await
    }

    /// Sets the quantity of each type `scale` names; other types keep theirs.
    ///
    /// # Errors
    /// `NotFound` if there is no such app.
    pub async fn set_scale(&self, app: AppId, scale: &Scale) -> Result<(), StoreError> {
        let scale = scale.clone();
        self.write(move |tx| set(tx, app, &scale)).await
    }

    /// Asks for the processes of a type that were started before `at` to be started anew. It replaces the request before, also
    /// where `at` is earlier: the clock was put back then, and nothing would be done about a request from the future.
    ///
    /// # Errors
    /// `NotFound` if there is no such app.
    pub async fn request_restart(
        &self,
        app: AppId,
        process_type: &ProcessType,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let process_type = process_type.clone();
        self.write(move |tx| {
            tx.prepare_cached(
                "INSERT INTO restarts (app_id, process_type, requested_at) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (app_id, process_type) \
                 DO UPDATE SET requested_at = excluded.requested_at",
            )?
            .execute(params![app.0, process_type.as_str(), row::micros(at)])?;
            Ok(())
        })
        .await
    }
}

/// See [`Store::set_scale`].
fn set(tx: &Transaction<'_>, app: AppId, scale: &Scale) -> Result<(), StoreError> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO scales (app_id, process_type, quantity) VALUES (?1, ?2, ?3) \
         ON CONFLICT (app_id, process_type) DO UPDATE SET quantity = excluded.quantity",
    )?;
    for (process_type, quantity) in &scale.0 {
        statement.execute(params![app.0, process_type.as_str(), quantity])?;
    }
    Ok(())
}

/// Sets the scale of an app; types it does not name have none set any more.
pub(super) fn replace(tx: &Transaction<'_>, app: AppId, scale: &Scale) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM scales WHERE app_id = ?1")?
        .execute([app.0])?;
    set(tx, app, scale)
}

/// The scale of every app that has one set.
pub(super) fn all(tx: &Transaction<'_>) -> Result<Vec<(AppId, Scale)>, StoreError> {
    let mut scales: BTreeMap<AppId, Scale> = BTreeMap::new();
    let mut statement = tx.prepare_cached("SELECT app_id, process_type, quantity FROM scales")?;
    let mut rows = statement.query([])?;
    while let Some(found) = rows.next()? {
        let (process_type, quantity) = read(found)?;
        scales
            .entry(AppId(found.get("app_id")?))
            .or_default()
            .0
            .insert(process_type, quantity);
    }
    Ok(scales.into_iter().collect())
}

/// Every restart that was requested.
pub(super) fn all_restarts(
    tx: &Transaction<'_>,
) -> Result<Vec<(AppId, ProcessType, Timestamp)>, StoreError> {
    tx.prepare_cached(
        "SELECT app_id, process_type, requested_at FROM restarts ORDER BY app_id, process_type",
    )?
    .query_and_then([], |found| {
        Ok((
            AppId(found.get("app_id")?),
            row::text(found, "process_type")?,
            row::moment(found.get("requested_at")?)?,
        ))
    })?
    .collect()
}

fn read(found: &Row<'_>) -> Result<(ProcessType, u16), StoreError> {
    Ok((row::text(found, "process_type")?, found.get("quantity")?))
}
