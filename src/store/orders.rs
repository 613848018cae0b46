//! Orders for certificates: who works on which name, how it went, and our account at the authority.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::seal::Place;
use super::{Desired, Store, StoreError, certificates, row};
use crate::model::{
    AuthorityAccount, CertificateId, FailedOrder, NewCertificate, RenewalAdvice, Timestamp,
};

/// Placed orders are forgotten after this time, in microseconds: three hours, for which authorities count them, and a
/// little more.
const PLACED_MICROS: i64 = 4 * 60 * 60 * 1_000_000;
/// Advice is forgotten when it has not been asked for again so long after its time: its certificate is gone.
const ADVICE_MICROS: i64 = 7 * 24 * 60 * 60 * 1_000_000;

/// All that decides which certificates are ordered.
#[derive(Debug, Clone, Default)]
pub struct OrderBook {
    /// What decides under which names apps are visited, and which certificates there are. Read last, so that a
    /// certificate is known before its order is forgotten.
    pub desired: Arc<Desired>,
    /// Names whose last order failed.
    pub failed: Vec<FailedOrder>,
    /// Names that are worked on, with the end of the claim.
    pub claims: Vec<(String, Timestamp)>,
    /// What the authority said about renewals, by what it knows certificates by.
    pub advice: HashMap<String, RenewalAdvice>,
    /// When orders were placed in the last hours.
    pub placed: Vec<Timestamp>,
}

impl Store {
    /// What decides which certificates are ordered.
    ///
    /// # Errors
    /// `Damaged` if a row does not read.
    pub async fn order_book(&self) -> Result<OrderBook, StoreError> {
        let book = self.read(|tx| {
            Ok(OrderBook {
                desired: Arc::default(),
                failed: failed(tx)?,
                claims: claims(tx)?,
                advice: advice(tx)?,
                placed: placed(tx)?,
            })
        });
        let book = book.await?;
        Ok(OrderBook {
            desired: self.desired().await?,
            ..book
        })
    }

    /// Names whose last order failed, in alphabetical order.
    ///
    /// # Errors
    /// `Damaged` if a row does not read.
    pub async fn failed_orders(&self) -> Result<Vec<FailedOrder>, StoreError> {
        self.read(failed).await
    }

    /// Claims a name until it is released or `until` has come; false if someone has it claimed.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn claim_order(
        &self,
        name: String,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(move |tx| {
            let changed = tx
                .prepare_cached(
                    "INSERT INTO certificate_orders (name, failures, reason, failed_at, next_try, claimed_until) \
                     VALUES (?1, 0, '', ?2, ?2, ?3) ON CONFLICT (name) DO UPDATE SET claimed_until = ?3 \
                     WHERE claimed_until IS NULL OR claimed_until <= ?2",
                )?
                .execute(params![name, row::micros(now), row::micros(until)])?;
            Ok(changed > 0)
        })
        .await
    }

    /// Gives up the claim on a name.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn release_order(&self, name: String) -> Result<(), StoreError> {
        self.write(move |tx| release(tx, Some(&name))).await
    }

    /// Gives up all claims: they are those of a server that is no more.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn release_all_orders(&self) -> Result<(), StoreError> {
        self.write(|tx| release(tx, None)).await
    }

    /// Notes that an order is placed.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn place_order(&self, at: Timestamp) -> Result<(), StoreError> {
        let at = row::micros(at);
        self.write(move |tx| {
            tx.prepare_cached("DELETE FROM placed_orders WHERE placed_at < ?1")?
                .execute([at.saturating_sub(PLACED_MICROS)])?;
            tx.prepare_cached("INSERT INTO placed_orders (placed_at) VALUES (?1)")?
                .execute([at])?;
            Ok(())
        })
        .await
    }

    /// Notes that an order failed, and gives up the claim on its name.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn fail_order(&self, failed: FailedOrder) -> Result<(), StoreError> {
        self.write(move |tx| {
            tx.prepare_cached(
                "INSERT OR REPLACE INTO certificate_orders (name, failures, reason, failed_at, next_try) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                failed.name,
                failed.failures,
                failed.reason,
                row::micros(failed.failed_at),
                row::micros(failed.next_try)
            ])?;
            Ok(())
        })
        .await
    }

    /// Stores the certificate that was ordered for a name in place of earlier ones, forgets the name's failures and gives
    /// up the claim on it; returns its id.
    ///
    /// # Errors
    /// `NotFound` if there is no such app; then nothing has changed.
    pub async fn complete_order(
        &self,
        name: String,
        certificate: NewCertificate,
        earlier: Vec<CertificateId>,
    ) -> Result<CertificateId, StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        self.write(move |tx| {
            for id in earlier {
                tx.prepare_cached(
                    "DELETE FROM certificates WHERE id = ?1 AND app_id IS ?2 AND origin = 'acme'",
                )?
                .execute(params![id.0, certificate.app.map(|app| app.0)])?;
            }
            forget(tx, &name)?;
            certificates::insert(tx, &seal, &certificate)
        })
        .await
    }

    /// Forgets how orders for these names went: nobody wants them any more, or they are to be tried at once. Names that
    /// are worked on are left alone.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn forget_orders(&self, names: Vec<String>) -> Result<(), StoreError> {
        self.write(move |tx| {
            for name in names {
                tx.prepare_cached(
                    "DELETE FROM certificate_orders WHERE name = ?1 AND claimed_until IS NULL",
                )?
                .execute([name])?;
            }
            Ok(())
        })
        .await
    }

    /// Keeps what the authority said about the renewal of a certificate.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn keep_advice(&self, id: String, advice: RenewalAdvice) -> Result<(), StoreError> {
        self.write(move |tx| {
            let ask_again = row::micros(advice.ask_again);
            tx.prepare_cached("DELETE FROM renewal_advice WHERE ask_again < ?1")?
                .execute([ask_again.saturating_sub(ADVICE_MICROS)])?;
            let window = advice.window.map(|(start, end)| [start, end].map(row::micros));
            let [start, end] = window.map_or([None; 2], |window| window.map(Some));
            tx.prepare_cached(
                "INSERT OR REPLACE INTO renewal_advice (id, window_start, window_end, ask_again) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![id, start, end, ask_again])?;
            Ok(())
        })
        .await
    }

    /// Our account at the authority with this directory.
    ///
    /// # Errors
    /// `Damaged` if its credentials do not decrypt.
    pub async fn authority_account(
        &self,
        directory: String,
    ) -> Result<Option<AuthorityAccount>, StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        self.read(move |tx| {
            let found = tx
                .prepare_cached(
                    "SELECT email, credentials FROM authority_accounts WHERE directory = ?1",
                )?
                .query_row([&directory], |found| {
                    Ok((found.get::<_, String>(0)?, found.get::<_, Vec<u8>>(1)?))
                })
                .optional()?;
            let Some((email, sealed)) = found else {
                return Ok(None);
            };
            let opened = seal.open(place(&directory), &sealed);
            let text = opened
                .as_ref()
                .and_then(|bytes| std::str::from_utf8(bytes).ok());
            let credentials = text.map(crate::model::Secret::new).ok_or_else(|| {
                StoreError::damaged_row("the account at a certificate authority does not decrypt")
            })?;
            Ok(Some(AuthorityAccount { email, credentials }))
        })
        .await
    }

    /// Keeps our account at an authority in place of the one there was; `None` forgets that one.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn keep_authority_account(
        &self,
        directory: String,
        account: Option<AuthorityAccount>,
    ) -> Result<(), StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        self.write(move |tx| {
            let Some(account) = account else {
                tx.prepare_cached("DELETE FROM authority_accounts WHERE directory = ?1")?
                    .execute([directory])?;
                return Ok(());
            };
            let plain = account.credentials.reveal().as_bytes();
            let sealed = seal.close(place(&directory), plain)?;
            tx.prepare_cached(
                "INSERT OR REPLACE INTO authority_accounts (directory, email, credentials) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![directory, account.email, sealed])?;
            Ok(())
        })
        .await
    }
}

fn place(directory: &str) -> Place<'_> {
    Place {
        table: "authority_accounts",
        app: 0,
        key: directory,
    }
}

fn forget(tx: &Transaction<'_>, name: &str) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM certificate_orders WHERE name = ?1")?
        .execute([name])?;
    Ok(())
}

/// Gives up the claim on a name, or on all; a row that says nothing else goes.
fn release(tx: &Transaction<'_>, name: Option<&str>) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE certificate_orders SET claimed_until = NULL WHERE ?1 IS NULL OR name = ?1",
    )?
    .execute([name])?;
    tx.prepare_cached(
        "DELETE FROM certificate_orders WHERE failures = 0 AND claimed_until IS NULL",
    )?
    .execute([])?;
    Ok(())
}

fn failed(tx: &Transaction<'_>) -> Result<Vec<FailedOrder>, StoreError> {
    tx.prepare_cached("SELECT * FROM certificate_orders WHERE failures > 0 ORDER BY name")?
        .query_and_then([], read_failed)?
        .collect()
}

fn read_failed(found: &Row<'_>) -> Result<FailedOrder, StoreError> {
    Ok(FailedOrder {
        name: found.get("name")?,
        failures: found.get("failures")?,
        reason: found.get("reason")?,
        failed_at: row::moment(found.get("failed_at")?)?,
        next_try: row::moment(found.get("next_try")?)?,
    })
}

fn claims(tx: &Transaction<'_>) -> Result<Vec<(String, Timestamp)>, StoreError> {
    tx.prepare_cached(
        "SELECT name, claimed_until FROM certificate_orders WHERE claimed_until IS NOT NULL",
    )?
    .query_and_then([], |found| {
        Ok((
            found.get("name")?,
            row::moment(found.get("claimed_until")?)?,
        ))
    })?
    .collect()
}

fn advice(tx: &Transaction<'_>) -> Result<HashMap<String, RenewalAdvice>, StoreError> {
    tx.prepare_cached("SELECT * FROM renewal_advice")?
        .query_and_then([], |found| {
            let edge = |column: &str| -> Result<Option<Timestamp>, StoreError> {
                let micros: Option<i64> = found.get(column)?;
                micros.map(row::moment).transpose()
            };
            let advice = RenewalAdvice {
                window: edge("window_start")?.zip(edge("window_end")?),
                ask_again: row::moment(found.get("ask_again")?)?,
            };
            Ok((found.get("id")?, advice))
        })?
        .collect()
}

fn placed(tx: &Transaction<'_>) -> Result<Vec<Timestamp>, StoreError> {
    tx.prepare_cached("SELECT placed_at FROM placed_orders ORDER BY placed_at")?
        .query_and_then([], |found| row::moment(found.get("placed_at")?))?
        .collect()
}
