//! What fetching over ssh needs: the keys of hosts, and the server's own, sealed.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};
use zeroize::Zeroizing;

use super::seal::Place;
use super::{Store, StoreError, row};
use crate::model::{GitHost, HostKey, Secret};

const DEPLOY_KEY: Place<'_> = Place {
    table: "deploy_key",
    app: 0,
    key: "",
};

impl Store {
    /// The keys by which a host is known; empty where it is not.
    ///
    /// # Errors
    /// `Damaged` if they cannot be read.
    pub async fn git_host_keys(&self, host: &GitHost) -> Result<Vec<HostKey>, StoreError> {
        let host = host.clone();
        self.read(move |tx| {
            let keys: Option<String> = tx
                .prepare_cached("SELECT keys FROM git_hosts WHERE host = ?1")?
                .query_row([host.as_str()], |found| found.get(0))
                .optional()?;
            let keys = keys.map(|keys| serde_json::from_str(&keys));
            let keys = keys.transpose();
            let damaged = |_| StoreError::damaged_row("the keys of a host cannot be read");
            Ok(keys.map_err(damaged)?.unwrap_or_default())
        })
        .await
    }

    /// Sets by which keys a host is known, in place of those before.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn set_git_host_keys(
        &self,
        host: &GitHost,
        keys: Vec<HostKey>,
    ) -> Result<(), StoreError> {
        let host = host.clone();
        self.write(move |tx| {
            tx.execute(
                "INSERT OR REPLACE INTO git_hosts (host, keys) VALUES (?1, ?2)",
                params![host.as_str(), row::to_json(&keys)?],
            )?;
            Ok(())
        })
        .await
    }

    /// Forgets a host. False if it was not known.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn remove_git_host(&self, host: &GitHost) -> Result<bool, StoreError> {
        let host = host.clone();
        self.write(move |tx| {
            let removed = tx.execute("DELETE FROM git_hosts WHERE host = ?1", [host.as_str()])?;
            Ok(removed > 0)
        })
        .await
    }

    /// The server's deploy key, if there is one.
    ///
    /// # Errors
    /// `Damaged` if it does not decrypt.
    pub async fn deploy_key(&self) -> Result<Option<Secret>, StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        self.read(move |tx| {
            let sealed: Option<Vec<u8>> = tx
                .prepare_cached("SELECT key FROM deploy_key")?
                .query_row([], |found| found.get(0))
                .optional()?;
            let damaged = || StoreError::damaged_row("the deploy key does not decrypt");
            sealed
                .map(|sealed| {
                    let plain = seal.open(DEPLOY_KEY, &sealed).ok_or_else(damaged)?;
                    let text = std::str::from_utf8(&plain).map_err(|_| damaged())?;
                    Ok(Secret::new(text))
                })
                .transpose()
        })
        .await
    }

    /// Keeps a deploy key. Where there is one already it stays and the answer is false, unless the new one is to take its place.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn set_deploy_key(&self, key: Secret, replaces: bool) -> Result<bool, StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        self.write(move |tx| {
            let plain = Zeroizing::new(key.reveal().as_bytes().to_vec());
            let sealed = seal.close(DEPLOY_KEY, &plain)?;
            let how = if replaces { "REPLACE" } else { "IGNORE" };
            let set = tx.execute(
                &format!("INSERT OR {how} INTO deploy_key (id, key) VALUES (1, ?1)"),
                [sealed],
            )?;
            Ok(set > 0)
        })
        .await
    }
}
