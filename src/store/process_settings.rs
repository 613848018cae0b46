//! What was set of the processes of apps, and the options of their containers.

use std::collections::BTreeMap;

use rusqlite::{Row, Transaction, params};

use super::named_values::NamedValues;
use super::{Store, StoreError, row};
use crate::model::{
    AppId, ContainerOption, ContainerPhase, InvalidOption, ProcessSetting, ProcessSettings,
};

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

    /// The options of the containers of an app in a phase. One that does not read is left out, with an error in the log.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn container_options_of(
        &self,
        app: AppId,
        phase: ContainerPhase,
    ) -> Result<Vec<ContainerOption>, StoreError> {
        let texts = self.container_option_texts(app, phase).await?;
        let options = texts.iter().filter_map(|text| readable(app, text));
        Ok(options.collect())
    }

    /// The same as they are kept, also those that do not read: for who looks them up to remove them.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn container_option_texts(
        &self,
        app: AppId,
        phase: ContainerPhase,
    ) -> Result<Vec<String>, StoreError> {
        self.read(move |tx| {
            tx.prepare_cached(
                "SELECT option FROM container_options WHERE app_id = ?1 AND phase = ?2 ORDER BY option",
            )?
            .query_and_then(params![app.0, phase.as_str()], |found| {
                Ok(found.get("option")?)
            })?
            .collect()
        })
        .await
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

    /// Removes an option by its text, without regard to blanks around it, or all of a phase. Returns how many there were.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn remove_container_options(
        &self,
        app: AppId,
        phase: ContainerPhase,
        option: Option<String>,
    ) -> Result<usize, StoreError> {
        self.write(move |tx| {
            let removed = tx
                .prepare_cached(
                    "DELETE FROM container_options \
                     WHERE app_id = ?1 AND phase = ?2 AND (?3 IS NULL OR trim(option) = trim(?3))",
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

/// The options of the processes of each app with any. One that does not read is left out, with an error in the log: it must
/// not keep the processes of all the others from being looked after.
pub(super) fn all_options(
    tx: &Transaction<'_>,
) -> Result<BTreeMap<AppId, Vec<ContainerOption>>, StoreError> {
    let mut all: BTreeMap<AppId, Vec<ContainerOption>> = BTreeMap::new();
    let mut statement = tx.prepare_cached(
        "SELECT app_id, option FROM container_options WHERE phase = 'deploy' ORDER BY app_id, option",
    )?;
    let mut rows = statement.query([])?;
    while let Some(found) = rows.next()? {
        let app = AppId(found.get("app_id")?);
        let text: String = found.get("option")?;
        if let Some(option) = readable(app, &text) {
            all.entry(app).or_default().push(option);
        }
    }
    Ok(all)
}

fn setting(found: &Row<'_>) -> Result<(ProcessSetting, String), StoreError> {
    Ok((row::text(found, "name")?, found.get("value")?))
}

/// An option as it is kept, if it reads.
fn readable(app: AppId, text: &str) -> Option<ContainerOption> {
    match text.parse() {
        Ok(option) => Some(option),
        Err(InvalidOption { flag, why, .. }) => {
            tracing::error!(
                app = app.0,
                flag,
                why,
                "an option of containers does not read and is left out; `docker-options:report` shows it, `docker-options:remove` takes it away"
            );
            None
        }
    }
}
