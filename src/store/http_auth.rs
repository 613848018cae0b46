//! Which apps ask their visitors for a password, and whose they take.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{Store, StoreError, row};
use crate::model::{AppId, HttpAuth, Secret, UserName};

impl Store {
    /// Whether an app asks for a password, and whose it takes.
    ///
    /// # Errors
    /// `Damaged` if a row does not read.
    pub async fn http_auth(&self, app: AppId) -> Result<HttpAuth, StoreError> {
        self.read(move |tx| {
            let is_on = tx
                .prepare_cached("SELECT 1 FROM http_auth WHERE app_id = ?1")?
                .query_row([app.0], |_| Ok(()))
                .optional()?
                .is_some();
            let users = tx
                .prepare_cached(
                    "SELECT name, password_hash FROM http_auth_users WHERE app_id = ?1",
                )?
                .query_and_then([app.0], read)?
                .collect::<Result<_, _>>()?;
            Ok(HttpAuth { is_on, users })
        })
        .await
    }

    /// Says whether an app asks; false if it did, or did not, already.
    ///
    /// # Errors
    /// `NotFound` if there is no such app.
    pub async fn set_http_auth(&self, app: AppId, is_on: bool) -> Result<bool, StoreError> {
        self.write(move |tx| {
            let sql = if is_on {
                "INSERT INTO http_auth (app_id) VALUES (?1) ON CONFLICT DO NOTHING"
            } else {
                "DELETE FROM http_auth WHERE app_id = ?1"
            };
            Ok(tx.prepare_cached(sql)?.execute([app.0])? > 0)
        })
        .await
    }

    /// Lets a user pass with the password of this hash, in place of the one before.
    ///
    /// # Errors
    /// `NotFound` if there is no such app.
    pub async fn add_http_auth_user(
        &self,
        app: AppId,
        user: &UserName,
        password_hash: Secret,
    ) -> Result<(), StoreError> {
        let user = user.clone();
        self.write(move |tx| {
            tx.prepare_cached(
                "INSERT INTO http_auth_users (app_id, name, password_hash) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (app_id, name) DO UPDATE SET password_hash = excluded.password_hash",
            )?
            .execute(params![app.0, user.as_str(), password_hash.reveal()])?;
            Ok(())
        })
        .await
    }

    /// Lets a user pass no more; false if they could not.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn remove_http_auth_user(
        &self,
        app: AppId,
        user: &UserName,
    ) -> Result<bool, StoreError> {
        let user = user.clone();
        self.write(move |tx| {
            let removed = tx
                .prepare_cached("DELETE FROM http_auth_users WHERE app_id = ?1 AND name = ?2")?
                .execute(params![app.0, user.as_str()])?;
            Ok(removed > 0)
        })
        .await
    }
}

/// The apps that ask, with whom they let pass.
pub(super) fn all(tx: &Transaction<'_>) -> Result<BTreeMap<AppId, HttpAuth>, StoreError> {
    let mut all: BTreeMap<AppId, HttpAuth> = tx
        .prepare_cached("SELECT app_id FROM http_auth")?
        .query_map([], |found| {
            let asks = HttpAuth {
                is_on: true,
                ..HttpAuth::default()
            };
            Ok((AppId(found.get("app_id")?), asks))
        })?
        .collect::<Result<_, _>>()?;
    let mut statement = tx.prepare_cached(
        "SELECT app_id, name, password_hash FROM http_auth_users JOIN http_auth USING (app_id)",
    )?;
    let mut rows = statement.query([])?;
    while let Some(found) = rows.next()? {
        let (name, hash) = read(found)?;
        let auth = all.entry(AppId(found.get("app_id")?)).or_default();
        auth.users.insert(name, hash);
    }
    Ok(all)
}

fn read(found: &Row<'_>) -> Result<(UserName, Secret), StoreError> {
    let hash: String = found.get("password_hash")?;
    Ok((row::text(found, "name")?, Secret::new(hash)))
}
