//! How apps are built, as far as it was set.

use rusqlite::{OptionalExtension, params};

use super::{Store, StoreError, row};
use crate::model::{AppId, BuildCache, Builder, BuilderSetting, ConfigKey};

impl Store {
    /// What was set of how an app is built.
    ///
    /// # Errors
    /// `Damaged` if a row does not read.
    pub async fn builder(&self, app: AppId) -> Result<Builder, StoreError> {
        self.read(move |tx| {
            let settings = tx
                .prepare_cached("SELECT name, value FROM builder_settings WHERE app_id = ?1")?
                .query_and_then([app.0], |found| {
                    let setting: BuilderSetting = row::text(found, "name")?;
                    Ok::<_, StoreError>((setting, found.get("value")?))
                })?
                .collect::<Result<_, _>>()?;
            let arguments = tx
                .prepare_cached("SELECT name, value FROM build_arguments WHERE app_id = ?1")?
                .query_and_then([app.0], |found| {
                    let name: ConfigKey = row::text(found, "name")?;
                    Ok::<_, StoreError>((name, found.get("value")?))
                })?
                .collect::<Result<_, _>>()?;
            let cache = tx
                .prepare_cached("SELECT generation, is_cold FROM build_caches WHERE app_id = ?1")?
                .query_row([app.0], |found| {
                    Ok(BuildCache {
                        generation: found.get("generation")?,
                        is_cold: found.get("is_cold")?,
                    })
                })
                .optional()?
                .unwrap_or_default();
            Ok(Builder {
                settings,
                arguments,
                cache,
            })
        })
        .await
    }

    /// Sets a value, or leaves the setting to detection again.
    ///
    /// # Errors
    /// `NotFound` if there is no such app.
    pub async fn set_builder_setting(
        &self,
        app: AppId,
        setting: BuilderSetting,
        value: Option<String>,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            match value {
                Some(value) => tx
                    .prepare_cached(
                        "INSERT INTO builder_settings (app_id, name, value) VALUES (?1, ?2, ?3) \
                         ON CONFLICT (app_id, name) DO UPDATE SET value = excluded.value",
                    )?
                    .execute(params![app.0, setting.as_str(), value])?,
                None => tx
                    .prepare_cached("DELETE FROM builder_settings WHERE app_id = ?1 AND name = ?2")?
                    .execute(params![app.0, setting.as_str()])?,
            };
            Ok(())
        })
        .await
    }

    /// Has the next build of an app begin without a cache.
    ///
    /// # Errors
    /// `NotFound` if there is no such app.
    pub async fn purge_build_cache(&self, app: AppId) -> Result<(), StoreError> {
        self.write(move |tx| {
            tx.prepare_cached(
                "INSERT INTO build_caches (app_id, generation, is_cold) VALUES (?1, 1, 1) \
                 ON CONFLICT (app_id) DO UPDATE SET generation = generation + 1, is_cold = 1",
            )?
            .execute([app.0])?;
            Ok(())
        })
        .await
    }

    /// Notes that a build with this cache has succeeded; nothing if it was purged meanwhile.
    ///
    /// # Errors
    /// A database error.
    pub async fn warm_build_cache(&self, app: AppId, cache: BuildCache) -> Result<(), StoreError> {
        self.write(move |tx| {
            tx.prepare_cached(
                "UPDATE build_caches SET is_cold = 0 WHERE app_id = ?1 AND generation = ?2",
            )?
            .execute(params![app.0, cache.generation])?;
            Ok(())
        })
        .await
    }

    /// Sets a build argument.
    ///
    /// # Errors
    /// `NotFound` if there is no such app.
    pub async fn set_build_argument(
        &self,
        app: AppId,
        name: ConfigKey,
        value: String,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            tx.prepare_cached(
                "INSERT INTO build_arguments (app_id, name, value) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (app_id, name) DO UPDATE SET value = excluded.value",
            )?
            .execute(params![app.0, name.as_str(), value])?;
            Ok(())
        })
        .await
    }

    /// Removes a build argument, or all of them. Returns how many there were.
    ///
    /// # Errors
    /// A database error.
    pub async fn remove_build_arguments(
        &self,
        app: AppId,
        name: Option<ConfigKey>,
    ) -> Result<usize, StoreError> {
        self.write(move |tx| {
            let removed = tx
                .prepare_cached(
                    "DELETE FROM build_arguments WHERE app_id = ?1 AND (?2 IS NULL OR name = ?2)",
                )?
                .execute(params![app.0, name.as_ref().map(ConfigKey::as_str)])?;
            Ok(removed)
        })
        .await
    }
}
