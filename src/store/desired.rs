//! The state the reconciler works towards.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    Store, StoreError, apps, certificates, domains, pauses, proxy_settings, releases, scale,
};
use crate::model::{
    App, AppId, CertificateId, CertificateOrigin, Domain, ProcessType, ProxyOptions, Release,
    Scale, Timestamp,
};

/// Everything the reconciler has to know, read in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    /// All apps.
    pub apps: Vec<App>,
    /// Host names by app.
    pub domains: Vec<Domain>,
    /// Which certificates there are, by app. What they hold is read once each, with [`Store::certificate_pems`].
    pub certificates: Vec<(AppId, CertificateId, CertificateOrigin)>,
    /// Scale by app.
    pub scales: Vec<(AppId, Scale)>,
    /// Releases that are candidate, prepared, current or draining, with their config.
    pub releases: Vec<Release>,
    /// Process types asked to be started anew, and when.
    pub restarts: Vec<(AppId, ProcessType, Timestamp)>,
    /// Settings of the proxy, of each app that has any.
    pub proxy: BTreeMap<AppId, ProxyOptions>,
    /// Until when requests for an app wait; moments that have passed mean nothing.
    pub pauses: BTreeMap<AppId, Timestamp>,
}

impl Store {
    /// Everything the reconciler has to know, as of one moment: eight queries, however many apps there are.
    ///
    /// # Errors
    /// `Damaged` if a row or a config does not read.
    pub async fn desired(&self) -> Result<Desired, StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        self.read(move |tx| {
            Ok(Desired {
                apps: apps::all(tx)?,
                domains: domains::all(tx)?,
                certificates: certificates::all(tx)?,
                scales: scale::all(tx)?,
                releases: releases::all_wanted(tx, &seal)?,
                restarts: scale::all_restarts(tx)?,
                proxy: proxy_settings::all(tx)?,
                pauses: pauses::all(tx)?,
            })
        })
        .await
    }
}
