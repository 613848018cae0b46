//! HTML of apps in place of the proxy's pages.
//!
//! The reconciler reads all that is desired after each write, so pages are kept here once read, by the id of their row.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Transaction, params};

use super::{Store, StoreError, row};
use crate::model::{AppId, PageName};

/// Pages by the id of their row, as they were read last.
pub(super) type Kept = Mutex<HashMap<i64, Arc<str>>>;

impl Store {
    /// The pages an app has of its own, with their sizes in bytes.
    ///
    /// # Errors
    /// `Damaged` if a row does not read.
    pub async fn proxy_pages(&self, app: AppId) -> Result<BTreeMap<PageName, u32>, StoreError> {
        self.read(move |tx| {
            tx.prepare_cached(
                "SELECT name, octet_length(html) AS bytes FROM proxy_pages WHERE app_id = ?1",
            )?
            .query_and_then([app.0], |found| {
                Ok((row::text(found, "name")?, found.get("bytes")?))
            })?
            .collect()
        })
        .await
    }

    /// Gives an app a page of its own; none gives it the proxy's again. False if it had that already.
    ///
    /// # Errors
    /// `NotFound` if there is no such app.
    pub async fn set_proxy_page(
        &self,
        app: AppId,
        name: PageName,
        html: Option<String>,
    ) -> Result<bool, StoreError> {
        self.write(move |tx| {
            let name = name.to_string();
            let removed = tx
                .prepare_cached("DELETE FROM proxy_pages WHERE app_id = ?1 AND name = ?2")?
                .execute(params![app.0, name])?;
            let Some(html) = html else {
                return Ok(removed > 0);
            };
            tx.prepare_cached("INSERT INTO proxy_pages (app_id, name, html) VALUES (?1, ?2, ?3)")?
                .execute(params![app.0, name, html])?;
            Ok(true)
        })
        .await
    }
}

/// All pages of all apps; of those that are kept only the ids are read.
pub(super) fn all(
    tx: &Transaction<'_>,
    kept: &Kept,
) -> Result<Vec<(AppId, PageName, Arc<str>)>, StoreError> {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let mut present = HashMap::new();
    let mut pages = Vec::new();
    let mut statement = tx.prepare_cached("SELECT id, app_id, name FROM proxy_pages")?;
    let mut rows = statement.query([])?;
    while let Some(found) = rows.next()? {
        let id: i64 = found.get("id")?;
        let html = match kept.get(&id) {
            Some(html) => Arc::clone(html),
            None => tx
                .prepare_cached("SELECT html FROM proxy_pages WHERE id = ?1")?
                .query_row([id], |found| found.get(0))?,
        };
        present.insert(id, Arc::clone(&html));
        pages.push((AppId(found.get("app_id")?), row::text(found, "name")?, html));
    }
    *kept = present;
    Ok(pages)
}
