//! Config vars: each value sealed for its app and key.

use std::sync::Arc;

use rusqlite::{Transaction, params};

use super::seal::{Place, Seal};
use super::{Store, StoreError, row};
use crate::model::{AppId, ConfigKey, ConfigVars, Secret};

fn place(app: AppId, key: &ConfigKey) -> Place<'_> {
    Place {
        table: "config_vars",
        app: app.0,
        key: key.as_str(),
    }
}

impl Store {
    /// The config vars of an app, decrypted.
    ///
    /// # Errors
    /// `Damaged` if a value does not open.
    pub async fn config(&self, app: AppId) -> Result<ConfigVars, StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        self.read(move |tx| {
            tx.prepare_cached("SELECT key, value FROM config_vars WHERE app_id = ?1")?
                .query_and_then([app.0], |found| {
                    let key: ConfigKey = row::text(found, "key")?;
                    let sealed = found
                        .get_ref("value")?
                        .as_blob()
                        .map_err(rusqlite::Error::from)?;
                    let value = open(&seal, app, &key, sealed)?;
                    Ok((key, value))
                })?
                .collect()
        })
        .await
    }

    /// Removes the keys `unset`, then sets those of `set`: all or none. Other keys keep their values; one to be unset
    /// that is not set is no error.
    ///
    /// # Errors
    /// `NotFound` if there is no such app.
    pub async fn set_config(
        &self,
        app: AppId,
        set: ConfigVars,
        unset: Vec<ConfigKey>,
    ) -> Result<(), StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        self.write(move |tx| {
            for key in &unset {
                tx.prepare_cached("DELETE FROM config_vars WHERE app_id = ?1 AND key = ?2")?
                    .execute(params![app.0, key.as_str()])?;
            }
            for (key, value) in &set {
                let sealed = seal.close(place(app, key), value.reveal().as_bytes())?;
                put(tx, app, key, &sealed)?;
            }
            Ok(())
        })
        .await
    }
}

fn put(tx: &Transaction<'_>, app: AppId, key: &ConfigKey, sealed: &[u8]) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO config_vars (app_id, key, value) VALUES (?1, ?2, ?3) \
         ON CONFLICT (app_id, key) DO UPDATE SET value = excluded.value",
    )?
    .execute(params![app.0, key.as_str(), sealed])?;
    Ok(())
}

fn open(seal: &Seal, app: AppId, key: &ConfigKey, sealed: &[u8]) -> Result<Secret, StoreError> {
    let value = seal.open(place(app, key), sealed);
    value
        .as_ref()
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .map(Secret::new)
        .ok_or_else(|| {
            StoreError::damaged_row(format!(
                "the value of the config var {key} does not decrypt"
            ))
        })
}
