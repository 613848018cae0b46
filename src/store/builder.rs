//! How apps are built, as far as it was set.

use rusqlite::{OptionalExtension, Row, params};

use super::named_values::NamedValues;
use super::{Store, StoreError, row};
use crate::model::{AppId, BuildCache, BuildSecretId, Builder, BuilderSetting, ConfigKey};

const SETTINGS: NamedValues = NamedValues("builder_settings");
const ARGUMENTS: NamedValues = NamedValues("build_arguments");
const SECRETS: NamedValues = NamedValues("build_secrets");

impl Store {
    /// What was set of how an app is built.
    ///
    /// # Errors
    /// `Damaged` if a row does not read.
    pub async fn builder(&self, app: AppId) -> Result<Builder, StoreError> {
        self.read(move |tx| {
            let settings = SETTINGS.of(tx, app, setting)?;
            let defaults = tx
                .prepare_cached("SELECT name, value FROM builder_defaults")?
                .query_and_then([], setting)?
                .collect::<Result<_, _>>()?;
            let arguments = ARGUMENTS.of(tx, app, |found| {
                let name: ConfigKey = row::text(found, "name")?;
                Ok((name, found.get("value")?))
            })?;
            let secrets = SECRETS.of(tx, app, |found| {
                let id: BuildSecretId = row::text(found, "name")?;
                Ok((id, row::text(found, "value")?))
            })?;
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
                defaults,
                arguments,
                secrets,
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
        self.write(move |tx| SETTINGS.set_or_remove(tx, app, setting.as_str(), value.as_deref()))
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
        self.write(move |tx| ARGUMENTS.set(tx, app, name.as_str(), &value))
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
        self.write(move |tx| ARGUMENTS.remove(tx, app, name.as_ref().map(ConfigKey::as_str)))
            .await
    }

    /// Gives the builds of an app a config var as a secret.
    ///
    /// # Errors
    /// `NotFound` if there is no such app.
    pub async fn set_build_secret(
        &self,
        app: AppId,
        id: BuildSecretId,
        key: ConfigKey,
    ) -> Result<(), StoreError> {
        self.write(move |tx| SECRETS.set(tx, app, id.as_str(), key.as_str()))
            .await
    }

    /// Takes a secret from the builds of an app, or all of them. Returns how many there were.
    ///
    /// # Errors
    /// A database error.
    pub async fn remove_build_secrets(
        &self,
        app: AppId,
        id: Option<BuildSecretId>,
    ) -> Result<usize, StoreError> {
        self.write(move |tx| SECRETS.remove(tx, app, id.as_ref().map(BuildSecretId::as_str)))
            .await
    }

    /// Sets the value of every app that has none of its own, or takes it away.
    ///
    /// # Errors
    /// A database error; the setting has to be one with a default, see [`BuilderSetting::has_default`].
    pub async fn set_builder_default(
        &self,
        setting: BuilderSetting,
        value: Option<String>,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            match value {
                Some(value) => tx
                    .prepare_cached(
                        "INSERT INTO builder_defaults (name, value) VALUES (?1, ?2) \
                         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    )?
                    .execute(params![setting.as_str(), value])?,
                None => tx
                    .prepare_cached("DELETE FROM builder_defaults WHERE name = ?1")?
                    .execute([setting.as_str()])?,
            };
            Ok(())
        })
        .await
    }
}

fn setting(found: &Row<'_>) -> Result<(BuilderSetting, String), StoreError> {
    Ok((row::text(found, "name")?, found.get("value")?))
}
