//! Certificates of apps and of the server: the chain as it is, the private key sealed for its row.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::seal::{Place, Seal};
use super::{Store, StoreError, row};
use crate::model::{
    AppCertificate, AppId, CertificateId, CertificateOrigin, NewCertificate, Secret,
};

/// What is needed to serve a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatePem {
    /// The certificate and those that lead to its authority.
    pub chain: String,
    /// The private key.
    pub key: Secret,
}

impl Store {
    /// The certificates of an app, in the order in which they are preferred by origin, the newest of an origin first.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn certificates(&self, app: AppId) -> Result<Vec<AppCertificate>, StoreError> {
        self.read(move |tx| of(tx, Some(app))).await
    }

    /// The certificates of the server, in the same order.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn server_certificates(&self) -> Result<Vec<AppCertificate>, StoreError> {
        self.read(move |tx| of(tx, None)).await
    }

    /// Chain and private key of each of some certificates. One that does not open is an error of its own; one that is
    /// gone is left out.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn certificate_pems(
        &self,
        ids: Vec<CertificateId>,
    ) -> Result<Vec<(CertificateId, Result<CertificatePem, StoreError>)>, StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        self.read(move |tx| {
            let mut pems = Vec::with_capacity(ids.len());
            for id in ids {
                match pem(tx, &seal, id) {
                    Ok(Some(pem)) => pems.push((id, Ok(pem))),
                    Ok(None) => {}
                    Err(damage @ StoreError::Damaged(_)) => pems.push((id, Err(damage))),
                    Err(error) => return Err(error),
                }
            }
            Ok(pems)
        })
        .await
    }

    /// Stores a certificate in place of all that its owner has of the same origin, and returns its id.
    ///
    /// # Errors
    /// `NotFound` if there is no such app.
    pub async fn replace_certificate(
        &self,
        certificate: NewCertificate,
    ) -> Result<CertificateId, StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        self.write(move |tx| {
            delete(tx, certificate.app, certificate.origin)?;
            insert(tx, &seal, &certificate)
        })
        .await
    }

    /// Forgets the certificates of these origins that an app has; returns how many there were.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn remove_certificates(
        &self,
        app: AppId,
        origins: Vec<CertificateOrigin>,
    ) -> Result<usize, StoreError> {
        self.write(move |tx| {
            let mut removed = 0;
            for origin in origins {
                removed += delete(tx, Some(app), origin)?;
            }
            Ok(removed)
        })
        .await
    }
}

pub(super) fn insert(
    tx: &Transaction<'_>,
    seal: &Seal,
    certificate: &NewCertificate,
) -> Result<CertificateId, StoreError> {
    let app = certificate.app;
    // The id, which the key is sealed for, is known only once the row is there.
    tx.prepare_cached(
        "INSERT INTO certificates (app_id, origin, chain, key, created_at) VALUES (?1, ?2, ?3, x'', ?4)",
    )?
    .execute(params![
        app.map(|app| app.0),
        certificate.origin.as_str(),
        certificate.chain,
        row::micros(certificate.created_at)
    ])?;
    let id = CertificateId(tx.last_insert_rowid());
    let sealed = seal.close(
        place(app, &id.0.to_string()),
        certificate.key.reveal().as_bytes(),
    )?;
    tx.prepare_cached("UPDATE certificates SET key = ?2 WHERE id = ?1")?
        .execute(params![id.0, sealed])?;
    Ok(id)
}

fn of(tx: &Transaction<'_>, app: Option<AppId>) -> Result<Vec<AppCertificate>, StoreError> {
    let mut found: Vec<AppCertificate> = tx
        .prepare_cached(
            "SELECT id, app_id, origin, chain, created_at FROM certificates \
             WHERE app_id IS ?1 ORDER BY id DESC",
        )?
        .query_and_then([app.map(|app| app.0)], read)?
        .collect::<Result<_, _>>()?;
    found.sort_by_key(|certificate| certificate.origin);
    Ok(found)
}

fn delete(
    tx: &Transaction<'_>,
    app: Option<AppId>,
    origin: CertificateOrigin,
) -> Result<usize, StoreError> {
    Ok(tx
        .prepare_cached("DELETE FROM certificates WHERE app_id IS ?1 AND origin = ?2")?
        .execute(params![app.map(|app| app.0), origin.as_str()])?)
}

/// Where a key is sealed for; the server is no app, and no app has the id 0.
fn place(app: Option<AppId>, key: &str) -> Place<'_> {
    Place {
        table: "certificates",
        app: app.map_or(0, |app| app.0),
        key,
    }
}

fn pem(
    tx: &Transaction<'_>,
    seal: &Seal,
    id: CertificateId,
) -> Result<Option<CertificatePem>, StoreError> {
    let found = tx
        .prepare_cached("SELECT app_id, chain, key FROM certificates WHERE id = ?1")?
        .query_row([id.0], |found| {
            Ok((
                found.get::<_, Option<i64>>("app_id")?.map(AppId),
                found.get::<_, String>("chain")?,
                found.get::<_, Vec<u8>>("key")?,
            ))
        })
        .optional()?;
    let Some((app, chain, sealed)) = found else {
        return Ok(None);
    };
    let key = seal
        .open(place(app, &id.0.to_string()), &sealed)
        .as_ref()
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .map(Secret::new)
        .ok_or_else(|| {
            StoreError::damaged_row("the private key of a certificate does not decrypt")
        })?;
    Ok(Some(CertificatePem { chain, key }))
}

fn read(found: &Row<'_>) -> Result<AppCertificate, StoreError> {
    Ok(AppCertificate {
        id: CertificateId(found.get("id")?),
        app: found.get::<_, Option<i64>>("app_id")?.map(AppId),
        origin: row::text(found, "origin")?,
        chain: found.get("chain")?,
        created_at: row::moment(found.get("created_at")?)?,
    })
}

/// Which certificates there are, by app, those of the server first.
pub(super) fn all(
    tx: &Transaction<'_>,
) -> Result<Vec<(Option<AppId>, CertificateId, CertificateOrigin)>, StoreError> {
    tx.prepare_cached("SELECT id, app_id, origin FROM certificates ORDER BY app_id, id")?
        .query_and_then([], |found| {
            Ok((
                found.get::<_, Option<i64>>("app_id")?.map(AppId),
                CertificateId(found.get("id")?),
                row::text(found, "origin")?,
            ))
        })?
        .collect()
}
