//! Host names: those given to apps, one belonging to one app, and those of the server.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Store, StoreError, row};
use crate::model::{AppId, AppName, Domain, DomainName, Exposure};

impl Store {
    /// The host names of an app in alphabetical order.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn domains(&self, app: AppId) -> Result<Vec<DomainName>, StoreError> {
        self.read(move |tx| own(tx, app)).await
    }

    /// The names an app is to answer at, with those of the server.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn exposure(&self, app: AppId) -> Result<Exposure, StoreError> {
        self.read(move |tx| {
            let (is_public, has_global) = switches(tx, app)?;
            Ok(Exposure {
                own: own(tx, app)?,
                global: global(tx)?,
                is_public,
                has_global,
            })
        })
        .await
    }

    /// Gives a host name to an app. `Taken` names the other app; adding one the app has already returns false.
    ///
    /// # Errors
    /// `Taken` if another app has it, as a domain or as the source of a redirect; `NotFound` if there is no such app.
    pub async fn add_domain(&self, app: AppId, name: &DomainName) -> Result<bool, StoreError> {
        let name = name.clone();
        self.write(move |tx| add(tx, app, &name)).await
    }

    /// Gives an app these host names and no other: neither its former ones nor `<app>.<global domain>`.
    ///
    /// # Errors
    /// `Taken` if another app has one of them; then nothing changes.
    pub async fn set_domains(&self, app: AppId, names: &[DomainName]) -> Result<(), StoreError> {
        let names = names.to_vec();
        self.write(move |tx| {
            clear(tx, app)?;
            for name in &names {
                add(tx, app, name)?;
            }
            switch(tx, app, "has_global", false)
        })
        .await
    }

    /// Takes all its own host names from an app; `has_global` says whether it answers at `<app>.<global domain>` from
    /// now on.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn clear_domains(&self, app: AppId, has_global: bool) -> Result<(), StoreError> {
        self.write(move |tx| {
            clear(tx, app)?;
            switch(tx, app, "has_global", has_global)
        })
        .await
    }

    /// Says whether visitors reach an app.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn set_public(&self, app: AppId, is_public: bool) -> Result<(), StoreError> {
        self.write(move |tx| switch(tx, app, "is_public", is_public))
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

    /// The domains of the server that were added to those of its settings, in alphabetical order.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn global_domains(&self) -> Result<Vec<DomainName>, StoreError> {
        self.read(global).await
    }

    /// Adds a domain of the server; false if it is there already.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn add_global_domain(&self, name: &DomainName) -> Result<bool, StoreError> {
        let name = name.clone();
        self.write(move |tx| {
            let added = tx
                .prepare_cached(
                    "INSERT INTO global_domains (name) VALUES (?1) ON CONFLICT DO NOTHING",
                )?
                .execute([name.as_str()])?;
            Ok(added > 0)
        })
        .await
    }

    /// Removes a domain of the server; false if it was not there.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn remove_global_domain(&self, name: &DomainName) -> Result<bool, StoreError> {
        let name = name.clone();
        self.write(move |tx| {
            let removed = tx
                .prepare_cached("DELETE FROM global_domains WHERE name = ?1")?
                .execute([name.as_str()])?;
            Ok(removed > 0)
        })
        .await
    }

    /// Replaces the domains of the server that were added.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn set_global_domains(&self, names: &[DomainName]) -> Result<(), StoreError> {
        let names = names.to_vec();
        self.write(move |tx| {
            tx.execute("DELETE FROM global_domains", [])?;
            let mut insert = tx.prepare_cached(
                "INSERT INTO global_domains (name) VALUES (?1) ON CONFLICT DO NOTHING",
            )?;
            for name in &names {
                insert.execute([name.as_str()])?;
            }
            Ok(())
        })
        .await
    }
}

fn own(tx: &Transaction<'_>, app: AppId) -> Result<Vec<DomainName>, StoreError> {
    tx.prepare_cached("SELECT name FROM domains WHERE app_id = ?1 ORDER BY name")?
        .query_and_then([app.0], |found| row::text(found, "name"))?
        .collect()
}

fn add(tx: &Transaction<'_>, app: AppId, name: &DomainName) -> Result<bool, StoreError> {
    refuse_taken(tx, app, name)?;
    let added = tx
        .prepare_cached(
            "INSERT INTO domains (name, app_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        )?
        .execute(params![name.as_str(), app.0])?;
    Ok(added > 0)
}

fn clear(tx: &Transaction<'_>, app: AppId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM domains WHERE app_id = ?1")?
        .execute([app.0])?;
    Ok(())
}

/// That no other app has a name, be it as a domain or as the source of a redirect.
pub(super) fn refuse_taken(
    tx: &Transaction<'_>,
    app: AppId,
    name: &DomainName,
) -> Result<(), StoreError> {
    let other: Option<AppName> = tx
        .prepare_cached(
            "SELECT apps.name FROM apps WHERE apps.id <> ?1 AND apps.id IN \
             (SELECT app_id FROM domains WHERE name = ?2 UNION SELECT app_id FROM redirects WHERE domain = ?2)",
        )?
        .query_and_then(params![app.0, name.as_str()], |found| row::text(found, "name"))?
        .next()
        .transpose()?;
    match other {
        None => Ok(()),
        Some(other) => Err(StoreError::Taken {
            name: name.to_string(),
            by: Some(other),
        }),
    }
}

/// Whether an app is reached, and whether it answers at `<app>.<global domain>`.
fn switches(tx: &Transaction<'_>, app: AppId) -> Result<(bool, bool), StoreError> {
    let found = tx
        .prepare_cached("SELECT is_public, has_global FROM exposures WHERE app_id = ?1")?
        .query_row([app.0], |found| Ok((found.get(0)?, found.get(1)?)))
        .optional()?;
    Ok(found.unwrap_or((true, true)))
}

fn switch(
    tx: &Transaction<'_>,
    app: AppId,
    column: &'static str,
    is_on: bool,
) -> Result<(), StoreError> {
    tx.prepare_cached(&format!(
        "INSERT INTO exposures (app_id, {column}) VALUES (?1, ?2) \
         ON CONFLICT (app_id) DO UPDATE SET {column} = excluded.{column}"
    ))?
    .execute(params![app.0, is_on])?;
    Ok(())
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

/// The domains of the server that were added.
pub(super) fn global(tx: &Transaction<'_>) -> Result<Vec<DomainName>, StoreError> {
    tx.prepare_cached("SELECT name FROM global_domains ORDER BY name")?
        .query_and_then([], |found| row::text(found, "name"))?
        .collect()
}

/// By app, where it differs from the default: whether it is reached, and whether at `<app>.<global domain>`.
pub(super) fn all_switches(
    tx: &Transaction<'_>,
) -> Result<BTreeMap<AppId, (bool, bool)>, StoreError> {
    tx.prepare_cached("SELECT app_id, is_public, has_global FROM exposures")?
        .query_and_then([], |found| {
            Ok((
                AppId(found.get("app_id")?),
                (found.get("is_public")?, found.get("has_global")?),
            ))
        })?
        .collect()
}
