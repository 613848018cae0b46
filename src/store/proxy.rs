//! All that was decided about the requests of apps, together.

use std::collections::BTreeMap;

use rusqlite::Transaction;

use super::proxy_pages::Kept;
use super::{StoreError, http_auth, maintenance, proxy_pages, proxy_settings};
use crate::model::{AppId, AppProxy};

/// Every app about which something was decided.
pub(super) fn all(
    tx: &Transaction<'_>,
    pages: &Kept,
) -> Result<BTreeMap<AppId, AppProxy>, StoreError> {
    let mut all: BTreeMap<AppId, AppProxy> = BTreeMap::new();
    for (app, options) in proxy_settings::all(tx)? {
        all.entry(app).or_default().options = options;
    }
    for (app, maintenance) in maintenance::all(tx)? {
        all.entry(app).or_default().maintenance = Some(maintenance);
    }
    for (app, auth) in http_auth::all(tx)? {
        all.entry(app).or_default().auth = auth;
    }
    for (app, name, html) in proxy_pages::all(tx, pages)? {
        all.entry(app).or_default().pages.insert(name, html);
    }
    Ok(all)
}
