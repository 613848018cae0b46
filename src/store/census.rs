//! How much there is of everything, for the figures of the whole installation.

use std::collections::BTreeMap;

use rusqlite::Transaction;

use super::{Store, StoreError};

/// How much there is of everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Census {
    /// Apps.
    pub apps: u32,
    /// Releases by status.
    pub releases: BTreeMap<String, u32>,
    /// Deploys by status; of each app those that are remembered.
    pub deploys: BTreeMap<String, u32>,
}

impl Store {
    /// How much there is of everything, as of one moment.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn census(&self) -> Result<Census, StoreError> {
        self.read(|tx| {
            Ok(Census {
                apps: tx
                    .prepare_cached("SELECT count(*) FROM apps")?
                    .query_row([], |found| found.get(0))?,
                releases: by_status(tx, "SELECT status, count(*) FROM releases GROUP BY status")?,
                deploys: by_status(tx, "SELECT status, count(*) FROM deploys GROUP BY status")?,
            })
        })
        .await
    }
}

fn by_status(tx: &Transaction<'_>, query: &str) -> Result<BTreeMap<String, u32>, StoreError> {
    let mut statement = tx.prepare_cached(query)?;
    let rows = statement.query_map([], |found| Ok((found.get(0)?, found.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
