//! Config vars, of one app and of all apps: each value sealed for its owner and key.

use std::sync::Arc;

use rusqlite::{Row, Transaction, params};

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

fn global_place(key: &ConfigKey) -> Place<'_> {
    Place {
        table: "global_config_vars",
        app: 0,
        key: key.as_str(),
    }
}

impl Store {
    /// The config vars an app has of its own, decrypted.
    ///
    /// # Errors
    /// `Damaged` if a value does not open.
    pub async fn config(&self, app: AppId) -> Result<ConfigVars, StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        self.read(move |tx| of_app(tx, &seal, app)).await
    }

    /// The config vars that every app has, decrypted.
    ///
    /// # Errors
    /// `Damaged` if a value does not open.
    pub async fn global_config(&self) -> Result<ConfigVars, StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        self.read(move |tx| of_all(tx, &seal)).await
    }

    /// What a release of an app is given: what every app has, under what the app has of its own.
    ///
    /// # Errors
    /// `Damaged` if a value does not open.
    pub async fn merged_config(&self, app: AppId) -> Result<ConfigVars, StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        self.read(move |tx| {
            let mut merged = of_all(tx, &seal)?;
            merged.extend(of_app(tx, &seal, app)?);
            Ok(merged)
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
            self::set(tx, &seal, app, &set)
        })
        .await
    }

    /// The same of the config vars that every app has.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn set_global_config(
        &self,
        set: ConfigVars,
        unset: Vec<ConfigKey>,
    ) -> Result<(), StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        self.write(move |tx| {
            for key in &unset {
                tx.prepare_cached("DELETE FROM global_config_vars WHERE key = ?1")?
                    .execute([key.as_str()])?;
            }
            for (key, value) in &set {
                let sealed = seal.close(global_place(key), value.reveal().as_bytes())?;
                tx.prepare_cached(
                    "INSERT INTO global_config_vars (key, value) VALUES (?1, ?2) \
                     ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                )?
                .execute(params![key.as_str(), sealed])?;
            }
            Ok(())
        })
        .await
    }
}

/// Seals and sets config vars of an app.
pub(super) fn set(
    tx: &Transaction<'_>,
    seal: &Seal,
    app: AppId,
    vars: &ConfigVars,
) -> Result<(), StoreError> {
    for (key, value) in vars {
        let sealed = seal.close(place(app, key), value.reveal().as_bytes())?;
        put(tx, app, key, &sealed)?;
    }
    Ok(())
}

/// See [`Store::config`].
pub(super) fn of_app(
    tx: &Transaction<'_>,
    seal: &Seal,
    app: AppId,
) -> Result<ConfigVars, StoreError> {
    tx.prepare_cached("SELECT key, value FROM config_vars WHERE app_id = ?1")?
        .query_and_then([app.0], |found| opened(seal, found, |key| place(app, key)))?
        .collect()
}

fn of_all(tx: &Transaction<'_>, seal: &Seal) -> Result<ConfigVars, StoreError> {
    tx.prepare_cached("SELECT key, value FROM global_config_vars")?
        .query_and_then([], |found| opened(seal, found, global_place))?
        .collect()
}

fn put(tx: &Transaction<'_>, app: AppId, key: &ConfigKey, sealed: &[u8]) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO config_vars (app_id, key, value) VALUES (?1, ?2, ?3) \
         ON CONFLICT (app_id, key) DO UPDATE SET value = excluded.value",
    )?
    .execute(params![app.0, key.as_str(), sealed])?;
    Ok(())
}

fn opened(
    seal: &Seal,
    found: &Row<'_>,
    place: impl for<'k> Fn(&'k ConfigKey) -> Place<'k>,
) -> Result<(ConfigKey, Secret), StoreError> {
    let key: ConfigKey = row::text(found, "key")?;
    let sealed = found
        .get_ref("value")?
        .as_blob()
        .map_err(rusqlite::Error::from)?;
    let value = seal.open(place(&key), sealed);
    let value = value
        .as_ref()
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .map(Secret::new)
        .ok_or_else(|| {
            StoreError::damaged_row(format!(
                "the value of the config var {key} does not decrypt"
            ))
        })?;
    Ok((key, value))
}
