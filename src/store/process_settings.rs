//! What was set of the processes of apps, and the options of their containers.

use std::collections::BTreeMap;

use rusqlite::{Row, Transaction, params};

use super::named_values::NamedValues;
use super::{Store, StoreError, row};
use crate::model::{AppId, ContainerOption, ContainerPhase, ProcessSetting, ProcessSettings};

const SETTINGS: NamedValues = NamedValues("process_settings");

impl Store {
    /// What was set of the processes of an app.
    ///
    /// # Errors
    /// `Damaged` if a row does not read.
    pub async fn process_settings(&self, app: AppId) -> Result<ProcessSettings, StoreError> {
        self.read(move |tx| SETTINGS.of(tx, app, setting).map(ProcessSettings))
            .await
    }

    /// Sets a value, or leaves the setting to what is in force without it.
    ///
    /// # Errors
    /// `NotFound` if there is no such app.
    pub async fn set_process_setting(
        &self,
        app: AppId,
        setting: ProcessSetting,
        value: Option<String>,
    ) -> Result<(), StoreError> {
        self.write(move |tx| SETTINGS.set_or_remove(tx, app, setting.as_str(), value.as_deref()))
            .await
    }

    /// The options of the containers of an app.
    ///
    /// # Errors
    /// `Damaged` if a row does not read.
    pub async fn container_options(
        &self,
        app: AppId,
    ) -> Result<Vec<(ContainerPhase, ContainerOption)>, StoreError> {
        self.read(move |tx| {
            tx.prepare_cached(
                "SELECT phase, option FROM container_options WHERE app_id = ?1 ORDER BY phase, option",
            )?
            .query_and_then([app.0], option)?
            .collect()
        })
        .await
    }

    /// Those of one phase alone.
    ///
    /// # Errors
    /// `Damaged` if a row does not read.
    pub async fn container_options_of(
        &self,
        app: AppId,
        phase: ContainerPhase,
    ) -> Result<Vec<ContainerOption>, StoreError> {
        let all = self.container_options(app).await?;
        let of_phase = all.into_iter().filter(|(its, _)| *its == phase);
        Ok(of_phase.map(|(_, option)| option).collect())
    }

    /// Adds an option. False if it was there already.
    ///
    /// # Errors
    /// `NotFound` if there is no such app.
    pub async fn add_container_option(
        &self,
        app: AppId,
        phase: ContainerPhase,
        option: ContainerOption,
    ) -> Result<bool, StoreError> {
        self.write(move |tx| add_option(tx, app, phase, &option))
            .await
    }

    /// Removes an option, or all of a phase. Returns how many there were.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn remove_container_options(
        &self,
        app: AppId,
        phase: ContainerPhase,
        option: Option<ContainerOption>,
    ) -> Result<usize, StoreError> {
        self.write(move |tx| {
            let option = option.map(|option| option.to_string());
            let removed = tx
                .prepare_cached(
                    "DELETE FROM container_options \
                     WHERE app_id = ?1 AND phase = ?2 AND (?3 IS NULL OR option = ?3)",
                )?
                .execute(params![app.0, phase.as_str(), option])?;
            Ok(removed)
        })
        .await
    }
}

/// Adds an option. False if it was there already.
pub(super) fn add_option(
    tx: &Transaction<'_>,
    app: AppId,
    phase: ContainerPhase,
    option: &ContainerOption,
) -> Result<bool, StoreError> {
    let added = tx
        .prepare_cached(
            "INSERT INTO container_options (app_id, phase, option) VALUES (?1, ?2, ?3) \
             ON CONFLICT (app_id, phase, option) DO NOTHING",
        )?
        .execute(params![app.0, phase.as_str(), option.to_string()])?;
    Ok(added > 0)
}

/// What was set for each app with any such setting.
pub(super) fn all(tx: &Transaction<'_>) -> Result<BTreeMap<AppId, ProcessSettings>, StoreError> {
    let mut all: BTreeMap<AppId, ProcessSettings> = BTreeMap::new();
    let mut statement = tx.prepare_cached("SELECT app_id, name, value FROM process_settings")?;
    let mut rows = statement.query([])?;
    while let Some(found) = rows.next()? {
        let (name, value) = setting(found)?;
        let of_app = all.entry(AppId(found.get("app_id")?)).or_default();
        of_app.0.insert(name, value);
    }
    Ok(all)
}

/// The options of the processes of each app with any.
pub(super) fn all_options(
    tx: &Transaction<'_>,
) -> Result<BTreeMap<AppId, Vec<ContainerOption>>, StoreError> {
    let mut all: BTreeMap<AppId, Vec<ContainerOption>> = BTreeMap::new();
    let mut statement = tx.prepare_cached(
        "SELECT app_id, phase, option FROM container_options WHERE phase = 'deploy' ORDER BY app_id, option",
    )?;
    let mut rows = statement.query([])?;
    while let Some(found) = rows.next()? {
        let (_, option) = option(found)?;
        all.entry(AppId(found.get("app_id")?))
            .or_default()
            .push(option);
    }
    Ok(all)
}

fn setting(found: &Row<'_>) -> Result<(ProcessSetting, String), StoreError> {
    Ok((row::text(found, "name")?, found.get("value")?))
}

fn option(found: &Row<'_>) -> Result<(ContainerPhase, ContainerOption), StoreError> {
    Ok((row::text(found, "phase")?, row::text(found, "option")?))
}
