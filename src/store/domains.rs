//! Host names given to apps; one belongs to one app.

use rusqlite::{Transaction, params};

use super::{Store, StoreError, row};
use crate::model::{AppId, AppName, Domain, DomainName};

impl Store {
    /// The host names of an app in alphabetical order.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn domains(&self, app: AppId) -> Result<Vec<DomainName>, StoreError> {
        self.read(move |tx| {
            tx.prepare_cached("SELECT name FROM domains WHERE app_id = ?1 ORDER BY name")?
                .query_and_then([app.0], |found| row::text(found, "name"))?
                .collect()
        })
        .await
    }

    /// Gives a host name to an app. `Taken` names the other app; adding one the app has already returns false.
    ///
    /// # Errors
    /// `Taken` if another app has it; `NotFound` if there is no such app.
    pub async fn add_domain(&self, app: AppId, name: &DomainName) -> Result<bool, StoreError> {
        let name = name.clone();
        self.write(move |tx| match owner(tx, &name)? {
            None => {
                tx.prepare_cached("INSERT INTO domains (name, app_id) VALUES (?1, ?2)")?
                    .execute(params![name.as_str(), app.0])?;
                Ok(true)
            }
            Some((id, _)) if id == app => Ok(false),
            Some((_, other)) => Err(StoreError::Taken {
                name: name.to_string(),
                by: Some(other),
            }),
        })
        .await
    }

    /// Takes a host name from an app; false if it had none such.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn remove_domain(&self, app: AppId, name: &DomainName) -> Result<bool, StoreError> {
        let name = name.clone();
        self.write(move |tx| {
            let removed = tx
                .prepare_cached("DELETE FROM domains WHERE app_id = ?1 AND name = ?2")?
                .execute(params![app.0, name.as_str()])?;
            Ok(removed > 0)
        })
        .await
    }
}

fn owner(tx: &Transaction<'_>, name: &DomainName) -> Result<Option<(AppId, AppName)>, StoreError> {
    tx.prepare_cached(
        "SELECT apps.id, apps.name FROM domains JOIN apps ON apps.id = app_id WHERE domains.name = ?1",
    )?
    .query_and_then([name.as_str()], |found| {
        Ok((AppId(found.get("id")?), row::text(found, "name")?))
    })?
    .next()
    .transpose()
}

/// Every host name, by app and alphabetical.
pub(super) fn all(tx: &Transaction<'_>) -> Result<Vec<Domain>, StoreError> {
    tx.prepare_cached("SELECT app_id, name FROM domains ORDER BY app_id, name")?
        .query_and_then([], |found| {
            Ok(Domain {
                app: AppId(found.get("app_id")?),
                name: row::text(found, "name")?,
            })
        })?
        .collect()
}
