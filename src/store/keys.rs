//! SSH keys that may log in.

use rusqlite::{OptionalExtension, Row, params};
use tokio::sync::watch;

use super::{Store, StoreError, row};
use crate::model::{KeyName, SshKey};

impl Store {
    /// All keys in the order of their names.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn ssh_keys(&self) -> Result<Vec<SshKey>, StoreError> {
        self.read(|tx| {
            tx.prepare_cached("SELECT * FROM ssh_keys ORDER BY name")?
                .query_and_then([], read)?
                .collect()
        })
        .await
    }

    /// The key with that fingerprint, `SHA256:...`.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn ssh_key_by_fingerprint(
        &self,
        fingerprint: &str,
    ) -> Result<Option<SshKey>, StoreError> {
        let fingerprint = fingerprint.to_owned();
        self.read(move |tx| {
            tx.prepare_cached("SELECT * FROM ssh_keys WHERE fingerprint = ?1")?
                .query_and_then([fingerprint], read)?
                .next()
                .transpose()
        })
        .await
    }

    /// Lets a key log in.
    ///
    /// # Errors
    /// `Taken` if there is a key of that name, or the same key under another name.
    pub async fn add_ssh_key(&self, key: &SshKey) -> Result<(), StoreError> {
        let key = key.clone();
        self.write(move |tx| {
            let other: Option<String> = tx
                .prepare_cached(
                    "SELECT name FROM ssh_keys WHERE name = ?1 OR fingerprint = ?2 ORDER BY name <> ?1 LIMIT 1",
                )?
                .query_row(params![key.name.as_str(), key.fingerprint], |found| {
                    found.get(0)
                })
                .optional()?;
            if let Some(other) = other {
                let name = if other == key.name.as_str() {
                    format!("the key name {other}")
                } else {
                    format!("the key {}, known as {other},", key.fingerprint)
                };
                return Err(StoreError::Taken { name, by: None });
            }
            tx.prepare_cached(
                "INSERT INTO ssh_keys (name, fingerprint, public_key, created_at) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                key.name.as_str(),
                key.fingerprint,
                key.public_key,
                row::micros(key.created_at)
            ])?;
            Ok(())
        })
        .await
    }

    /// Lets a key no longer log in; false if there is none of that name.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn remove_ssh_key(&self, name: &KeyName) -> Result<bool, StoreError> {
        let name = name.clone();
        let is_removed = self
            .write(move |tx| {
                let removed = tx
                    .prepare_cached("DELETE FROM ssh_keys WHERE name = ?1")?
                    .execute([name.as_str()])?;
                Ok(removed > 0)
            })
            .await?;
        if is_removed {
            let removals = &self.inner.key_removals;
            removals.send_modify(|times| *times = times.wrapping_add(1));
        }
        Ok(is_removed)
    }

    /// Changes whenever a key was removed.
    pub fn ssh_key_removals(&self) -> watch::Receiver<u64> {
        self.inner.key_removals.subscribe()
    }
}

fn read(found: &Row<'_>) -> Result<SshKey, StoreError> {
    Ok(SshKey {
        name: row::text(found, "name")?,
        fingerprint: found.get("fingerprint")?,
        public_key: found.get("public_key")?,
        created_at: row::moment(found.get("created_at")?)?,
    })
}
