//! Ports of the host that lead to apps.

use rusqlite::{Row, Transaction, params};

use super::{Store, StoreError, row};
use crate::model::{AppId, AppName, AppPort, PortMapping};

impl Store {
    /// The port mappings of an app, by their port of the host.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn ports(&self, app: AppId) -> Result<Vec<PortMapping>, StoreError> {
        self.read(move |tx| own(tx, app)).await
    }

    /// Gives an app these port mappings and no other, if it still has those of `before`: whoever changes some of several
    /// has read them first. False if it has others by now; then nothing changes.
    ///
    /// # Errors
    /// `Taken` if another app has one of the ports for the other scheme: `by` names it. `NotFound` if there is no such
    /// app.
    pub async fn set_ports(
        &self,
        app: AppId,
        before: &[PortMapping],
        mappings: &[PortMapping],
    ) -> Result<bool, StoreError> {
        let (before, mappings) = (before.to_vec(), mappings.to_vec());
        self.write(move |tx| {
            if own(tx, app)? != before {
                return Ok(false);
            }
            tx.prepare_cached("DELETE FROM ports WHERE app_id = ?1")?
                .execute([app.0])?;
            for mapping in &mappings {
                add(tx, app, *mapping)?;
            }
            Ok(true)
        })
        .await
    }
}

/// Adds a mapping to an app; see [`Store::set_ports`].
pub(super) fn add(
    tx: &Transaction<'_>,
    app: AppId,
    mapping: PortMapping,
) -> Result<(), StoreError> {
    let other: Option<AppName> = tx
        .prepare_cached(
            "SELECT apps.name FROM ports JOIN apps ON apps.id = ports.app_id \
             WHERE host_port = ?1 AND scheme <> ?2 AND app_id <> ?3",
        )?
        .query_and_then(
            params![mapping.host_port, mapping.scheme.as_str(), app.0],
            |found| row::text(found, "name"),
        )?
        .next()
        .transpose()?;
    if let Some(other) = other {
        return Err(StoreError::Taken {
            name: mapping.host_port.to_string(),
            by: Some(other),
        });
    }
    tx.prepare_cached(
        "INSERT INTO ports (app_id, host_port, scheme, container_port) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![
        app.0,
        mapping.host_port,
        mapping.scheme.as_str(),
        mapping.container_port
    ])?;
    Ok(())
}

fn own(tx: &Transaction<'_>, app: AppId) -> Result<Vec<PortMapping>, StoreError> {
    tx.prepare_cached(
        "SELECT scheme, host_port, container_port FROM ports WHERE app_id = ?1 ORDER BY host_port",
    )?
    .query_and_then([app.0], read)?
    .collect()
}

/// The mappings of all apps, by app and port of the host.
pub(super) fn all(tx: &Transaction<'_>) -> Result<Vec<AppPort>, StoreError> {
    tx.prepare_cached(
        "SELECT app_id, scheme, host_port, container_port FROM ports ORDER BY app_id, host_port",
    )?
    .query_and_then([], |found| {
        Ok(AppPort {
            app: AppId(found.get("app_id")?),
            mapping: read(found)?,
        })
    })?
    .collect()
}

fn read(found: &Row<'_>) -> Result<PortMapping, StoreError> {
    Ok(PortMapping {
        scheme: row::text(found, "scheme")?,
        host_port: found.get("host_port")?,
        container_port: found.get("container_port")?,
    })
}
