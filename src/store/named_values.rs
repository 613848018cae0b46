//! Tables of the shape `(app_id, name, value)`: what was set of something for each app, one row for each name.

use rusqlite::{Row, Transaction, params};

use super::StoreError;
use crate::model::AppId;

/// One such table.
#[derive(Debug, Clone, Copy)]
pub(super) struct NamedValues(pub(super) &'static str);

impl NamedValues {
    /// What is set for an app, each row as `read` reads it.
    pub(super) fn of<T, C: FromIterator<T>>(
        self,
        tx: &Transaction<'_>,
        app: AppId,
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<C, StoreError> {
        tx.prepare_cached(&format!(
            "SELECT name, value FROM {} WHERE app_id = ?1",
            self.0
        ))?
        .query_and_then([app.0], read)?
        .collect()
    }

    /// Sets a value; `NotFound` if there is no such app.
    pub(super) fn set(
        self,
        tx: &Transaction<'_>,
        app: AppId,
        name: &str,
        value: &str,
    ) -> Result<(), StoreError> {
        tx.prepare_cached(&format!(
            "INSERT INTO {} (app_id, name, value) VALUES (?1, ?2, ?3) \
             ON CONFLICT (app_id, name) DO UPDATE SET value = excluded.value",
            self.0
        ))?
        .execute(params![app.0, name, value])?;
        Ok(())
    }

    /// Removes a value, or all of an app. Returns how many there were.
    pub(super) fn remove(
        self,
        tx: &Transaction<'_>,
        app: AppId,
        name: Option<&str>,
    ) -> Result<usize, StoreError> {
        let removed = tx
            .prepare_cached(&format!(
                "DELETE FROM {} WHERE app_id = ?1 AND (?2 IS NULL OR name = ?2)",
                self.0
            ))?
            .execute(params![app.0, name])?;
        Ok(removed)
    }

    /// Sets a value, or removes it where there is none.
    pub(super) fn set_or_remove(
        self,
        tx: &Transaction<'_>,
        app: AppId,
        name: &str,
        value: Option<&str>,
    ) -> Result<(), StoreError> {
        match value {
            Some(value) => self.set(tx, app, name, value),
            None => self.remove(tx, app, Some(name)).map(drop),
        }
    }
}
