//! What was set of the proxy for each app. A row is a setting with its value; one without a row has its default.

use std::collections::BTreeMap;

use rusqlite::{Row, Transaction};

use super::named_values::NamedValues;
use super::{Store, StoreError};
use crate::model::{AppId, ProxyOptions, ProxySetting};

const TABLE: NamedValues = NamedValues("proxy_settings");

impl Store {
    /// What was set for an app: values as they are shown, by the name of their setting.
    ///
    /// # Errors
    /// `Damaged` if a row does not read.
    pub async fn proxy_settings(
        &self,
        app: AppId,
    ) -> Result<BTreeMap<&'static str, String>, StoreError> {
        self.read(move |tx| {
            TABLE.of(tx, app, |found| {
                let (setting, value) = read(found)?;
                Ok((setting.name, value))
            })
        })
        .await
    }

    /// Sets a value as [`ProxySetting::normalized`] wrote it; none gives the setting its default again.
    ///
    /// # Errors
    /// `NotFound` if there is no such app.
    pub async fn set_proxy_setting(
        &self,
        app: AppId,
        setting: &'static ProxySetting,
        value: Option<String>,
    ) -> Result<(), StoreError> {
        self.write(move |tx| TABLE.set_or_remove(tx, app, setting.name, value.as_deref()))
            .await
    }
}

/// The options of every app that has something set.
pub(super) fn all(tx: &Transaction<'_>) -> Result<BTreeMap<AppId, ProxyOptions>, StoreError> {
    let mut all: BTreeMap<AppId, ProxyOptions> = BTreeMap::new();
    let mut statement = tx.prepare_cached("SELECT app_id, name, value FROM proxy_settings")?;
    let mut rows = statement.query([])?;
    while let Some(found) = rows.next()? {
        let (setting, value) = read(found)?;
        let options = all.entry(AppId(found.get("app_id")?)).or_default();
        options
            .set(setting.name, &value)
            .map_err(|_| damaged(setting.name))?;
    }
    Ok(all)
}

fn read(found: &Row<'_>) -> Result<(&'static ProxySetting, String), StoreError> {
    let name = found
        .get_ref("name")?
        .as_str()
        .map_err(rusqlite::Error::from)?;
    let setting = ProxySetting::named(name).ok_or_else(|| damaged(name))?;
    Ok((setting, found.get("value")?))
}

fn damaged(name: &str) -> StoreError {
    StoreError::damaged_row(format!("the proxy setting {name} is none mini knows"))
}
