//! For which apps certificates are ordered.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Store, StoreError};
use crate::model::{AppId, Automatic};

impl Store {
    /// For which apps certificates are ordered.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn automatic_certificates(&self) -> Result<Automatic, StoreError> {
        self.read(all).await
    }

    /// Says whether certificates are ordered for an app; none leaves it to the default of the server.
    ///
    /// # Errors
    /// `NotFound` if there is no such app.
    pub async fn set_automatic_certificates(
        &self,
        app: AppId,
        is_on: Option<bool>,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            match is_on {
                Some(is_on) => tx
                    .prepare_cached(
                        "INSERT OR REPLACE INTO automatic_certificates (app_id, is_on) VALUES (?1, ?2)",
                    )?
                    .execute(params![app.0, is_on])?,
                None => tx
                    .prepare_cached("DELETE FROM automatic_certificates WHERE app_id = ?1")?
                    .execute([app.0])?,
            };
            Ok(())
        })
        .await
    }

    /// Says whether certificates are ordered for apps that say nothing.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn set_automatic_certificates_default(&self, is_on: bool) -> Result<(), StoreError> {
        self.write(move |tx| {
            tx.prepare_cached(
                "INSERT OR REPLACE INTO automatic_certificates_default (id, is_on) VALUES (1, ?1)",
            )?
            .execute([is_on])?;
            Ok(())
        })
        .await
    }
}

pub(super) fn all(tx: &Transaction<'_>) -> Result<Automatic, StoreError> {
    let default: Option<bool> = tx
        .prepare_cached("SELECT is_on FROM automatic_certificates_default")?
        .query_row([], |found| found.get(0))
        .optional()?;
    let apps = tx
        .prepare_cached("SELECT app_id, is_on FROM automatic_certificates")?
        .query_and_then([], |found| {
            Ok((AppId(found.get("app_id")?), found.get("is_on")?))
        })?
        .collect::<Result<_, StoreError>>()?;
    Ok(Automatic {
        is_default_on: default.unwrap_or(true),
        apps,
    })
}
