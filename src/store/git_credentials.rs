//! What hosts of private repositories are told, sealed.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};
use zeroize::Zeroizing;

use super::seal::Place;
use super::{Store, StoreError, row};
use crate::model::{GitCredential, GitHost};

fn place(host: &GitHost) -> Place<'_> {
    Place {
        table: "git_credentials",
        app: 0,
        key: host.as_str(),
    }
}

impl Store {
    /// What a host is told, if anything.
    ///
    /// # Errors
    /// `Damaged` if it does not decrypt.
    pub async fn git_credential(
        &self,
        host: &GitHost,
    ) -> Result<Option<GitCredential>, StoreError> {
        let (seal, host) = (Arc::clone(&self.inner.seal), host.clone());
        self.read(move |tx| {
            let sealed: Option<Vec<u8>> = tx
                .prepare_cached("SELECT credential FROM git_credentials WHERE host = ?1")?
                .query_row([host.as_str()], |found| found.get(0))
                .optional()?;
            let damaged = || StoreError::damaged_row("the token of a host does not decrypt");
            sealed
                .map(|sealed| {
                    let plain = seal.open(place(&host), &sealed).ok_or_else(damaged)?;
                    serde_json::from_slice(&plain).map_err(|_| damaged())
                })
                .transpose()
        })
        .await
    }

    /// Sets what a host is told, in place of what it was before.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn set_git_credential(
        &self,
        host: &GitHost,
        credential: GitCredential,
    ) -> Result<(), StoreError> {
        let (seal, host) = (Arc::clone(&self.inner.seal), host.clone());
        self.write(move |tx| {
            let plain = Zeroizing::new(row::to_json(&credential)?);
            let sealed = seal.close(place(&host), plain.as_bytes())?;
            tx.execute(
                "INSERT OR REPLACE INTO git_credentials (host, credential) VALUES (?1, ?2)",
                params![host.as_str(), sealed],
            )?;
            Ok(())
        })
        .await
    }

    /// Forgets it. False if there was none.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn remove_git_credential(&self, host: &GitHost) -> Result<bool, StoreError> {
        let host = host.clone();
        self.write(move |tx| {
            let removed = tx.execute(
                "DELETE FROM git_credentials WHERE host = ?1",
                [host.as_str()],
            )?;
            Ok(removed > 0)
        })
        .await
    }
}
