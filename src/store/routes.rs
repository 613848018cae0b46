//! Addresses of apps that lead to other processes, and those that send visitors elsewhere.

use rusqlite::{Row, Transaction, params};

use super::{Store, StoreError, domains, row};
use crate::model::{Address, AppId, AppRedirect, ProcessType, Route};

impl Store {
    /// The routes of an app's addresses, in their order.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn routes(&self, app: AppId) -> Result<Vec<Route>, StoreError> {
        let mut routes = self.read(all).await?;
        routes.retain(|route| route.app == app);
        Ok(routes)
    }

    /// The types of an app's processes that some route, of whichever app, leads to.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn routed_types(&self, app: AppId) -> Result<Vec<ProcessType>, StoreError> {
        self.read(move |tx| {
            tx.prepare_cached(
                "SELECT DISTINCT process_type FROM routes WHERE to_app_id = ?1 ORDER BY process_type",
            )?
            .query_and_then([app.0], |found| row::text(found, "process_type"))?
            .collect()
        })
        .await
    }

    /// Routes an address, in place of what the same address had; answers the route it had.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn set_route(&self, route: &Route) -> Result<Option<Route>, StoreError> {
        let route = route.clone();
        self.write(move |tx| {
            let before = take_route(tx, route.app, &route.address)?;
            let (domain, path) = columns(&route.address);
            tx.prepare_cached(
                "INSERT INTO routes (app_id, domain, path, to_app_id, process_type, is_stripped) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                route.app.0,
                domain,
                path,
                route.to.0,
                route.process_type.as_str(),
                route.is_stripped
            ])?;
            Ok(before)
        })
        .await
    }

    /// Takes the route from an address; answers the one it had.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn remove_route(
        &self,
        app: AppId,
        address: &Address,
    ) -> Result<Option<Route>, StoreError> {
        let address = address.clone();
        self.write(move |tx| take_route(tx, app, &address)).await
    }

    /// The redirects of an app's addresses, in their order.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn redirects(&self, app: AppId) -> Result<Vec<AppRedirect>, StoreError> {
        let mut redirects = self.read(all_redirects).await?;
        redirects.retain(|redirect| redirect.app == app);
        Ok(redirects)
    }

    /// All redirects of all apps.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn all_redirects(&self) -> Result<Vec<AppRedirect>, StoreError> {
        self.read(all_redirects).await
    }

    /// Sends visitors of an address elsewhere, in place of where they were sent before.
    ///
    /// # Errors
    /// `Taken` if the domain of the address is another app's.
    pub async fn set_redirect(&self, redirect: &AppRedirect) -> Result<(), StoreError> {
        let redirect = redirect.clone();
        self.write(move |tx| {
            if let Some(domain) = &redirect.address.domain {
                domains::refuse_taken(tx, redirect.app, domain)?;
            }
            let (domain, path) = columns(&redirect.address);
            tx.prepare_cached(
                "INSERT INTO redirects (app_id, domain, path, destination, code) VALUES (?1, ?2, ?3, ?4, ?5) \
                 ON CONFLICT (app_id, domain, path) \
                 DO UPDATE SET destination = excluded.destination, code = excluded.code",
            )?
            .execute(params![
                redirect.app.0,
                domain,
                path,
                redirect.to.to_string(),
                redirect.code
            ])?;
            Ok(())
        })
        .await
    }

    /// No longer sends visitors of an address elsewhere; false if it did not.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn remove_redirect(&self, app: AppId, address: &Address) -> Result<bool, StoreError> {
        let address = address.clone();
        self.write(move |tx| {
            let (domain, path) = columns(&address);
            let removed = tx
                .prepare_cached(
                    "DELETE FROM redirects WHERE app_id = ?1 AND domain = ?2 AND path = ?3",
                )?
                .execute(params![app.0, domain, path])?;
            Ok(removed > 0)
        })
        .await
    }
}

/// Every route, by app and address.
pub(super) fn all(tx: &Transaction<'_>) -> Result<Vec<Route>, StoreError> {
    tx.prepare_cached("SELECT * FROM routes ORDER BY app_id, domain, path")?
        .query_and_then([], route)?
        .collect()
}

/// Every redirect, by app and address.
pub(super) fn all_redirects(tx: &Transaction<'_>) -> Result<Vec<AppRedirect>, StoreError> {
    tx.prepare_cached("SELECT * FROM redirects ORDER BY app_id, domain, path")?
        .query_and_then([], |found| {
            Ok(AppRedirect {
                app: AppId(found.get("app_id")?),
                address: address(found)?,
                to: row::text(found, "destination")?,
                code: found.get("code")?,
            })
        })?
        .collect()
}

fn take_route(
    tx: &Transaction<'_>,
    app: AppId,
    address: &Address,
) -> Result<Option<Route>, StoreError> {
    let (domain, path) = columns(address);
    tx.prepare_cached(
        "DELETE FROM routes WHERE app_id = ?1 AND domain = ?2 AND path = ?3 RETURNING *",
    )?
    .query_and_then(params![app.0, domain, path], route)?
    .next()
    .transpose()
}

fn route(found: &Row<'_>) -> Result<Route, StoreError> {
    Ok(Route {
        app: AppId(found.get("app_id")?),
        address: address(found)?,
        to: AppId(found.get("to_app_id")?),
        process_type: row::text(found, "process_type")?,
        is_stripped: found.get("is_stripped")?,
    })
}

fn columns(address: &Address) -> (&str, &str) {
    let domain = address.domain.as_ref().map_or("", |domain| domain.as_str());
    let path = address.path.as_ref().map_or("", |path| path.as_str());
    (domain, path)
}

fn address(found: &Row<'_>) -> Result<Address, StoreError> {
    let domain: String = found.get("domain")?;
    let path: String = found.get("path")?;
    format!("{domain}{path}")
        .parse()
        .map_err(|_| StoreError::damaged_row("an address is none mini knows"))
}
