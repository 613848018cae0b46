//! Which apps are being worked on.

use std::time::Duration;

use rusqlite::{Row, Transaction, params};

use super::{Store, StoreError, row};
use crate::model::{AppId, ListOf, Maintenance, Network, Networks, ValueKind};

/// However many there are, they were counted when they were taken.
const ALLOW: ListOf<Networks> = ListOf {
    each: Networks,
    most: usize::MAX,
};

impl Store {
    /// How an app is being worked on, if it is.
    ///
    /// # Errors
    /// `Damaged` if the row does not read.
    pub async fn maintenance(&self, app: AppId) -> Result<Option<Maintenance>, StoreError> {
        self.read(move |tx| {
            tx.prepare_cached(
                "SELECT since, retry_after, allow FROM maintenance WHERE app_id = ?1",
            )?
            .query_and_then([app.0], read)?
            .next()
            .transpose()
        })
        .await
    }

    /// Closes an app for visitors, or changes how; none opens it. False if it was open already.
    ///
    /// # Errors
    /// `NotFound` if there is no such app.
    pub async fn set_maintenance(
        &self,
        app: AppId,
        maintenance: Option<Maintenance>,
    ) -> Result<bool, StoreError> {
        self.write(move |tx| {
            let changed = match maintenance {
                Some(maintenance) => tx
                    .prepare_cached(
                        "INSERT INTO maintenance (app_id, since, retry_after, allow) VALUES (?1, ?2, ?3, ?4) \
                         ON CONFLICT (app_id) DO UPDATE \
                         SET retry_after = excluded.retry_after, allow = excluded.allow",
                    )?
                    .execute(params![
                        app.0,
                        row::micros(maintenance.since),
                        maintenance.retry_after.as_secs().max(1).cast_signed(),
                        ALLOW.write(&maintenance.allow),
                    ])?,
                None => tx
                    .prepare_cached("DELETE FROM maintenance WHERE app_id = ?1")?
                    .execute([app.0])?,
            };
            Ok(changed > 0)
        })
        .await
    }
}

/// All apps that are being worked on.
pub(super) fn all(tx: &Transaction<'_>) -> Result<Vec<(AppId, Maintenance)>, StoreError> {
    tx.prepare_cached("SELECT app_id, since, retry_after, allow FROM maintenance")?
        .query_and_then([], |found| Ok((AppId(found.get("app_id")?), read(found)?)))?
        .collect()
}

fn read(found: &Row<'_>) -> Result<Maintenance, StoreError> {
    Ok(Maintenance {
        since: row::moment(found.get("since")?)?,
        retry_after: Duration::from_secs(found.get::<_, i64>("retry_after")?.unsigned_abs()),
        allow: networks(found)?,
    })
}

fn networks(found: &Row<'_>) -> Result<Vec<Network>, StoreError> {
    let text = found
        .get_ref("allow")?
        .as_str()
        .map_err(rusqlite::Error::from)?;
    ALLOW
        .read(text)
        .map_err(|_| StoreError::damaged_row("the networks of a maintenance do not read"))
}
