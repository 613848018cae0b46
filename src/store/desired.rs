//! The state the reconciler works towards.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    Store, StoreError, apps, certificates, domains, proxy_settings, releases, routes, scale,
};
use crate::model::{
    App, AppId, AppRedirect, CertificateId, CertificateOrigin, Domain, DomainName, ProcessType,
    ProxyOptions, Release, Route, Scale, Timestamp,
};

/// Everything the reconciler has to know, read in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    /// All apps.
    pub apps: Vec<App>,
    /// Host names by app.
    pub domains: Vec<Domain>,
    /// The domains of the server that were added to those of its settings.
    pub global_domains: Vec<DomainName>,
    /// By app, where it differs from the default: whether it is reached, and whether at `<app>.<global domain>`.
    pub exposures: BTreeMap<AppId, (bool, bool)>,
    /// Addresses that lead to other processes.
    pub routes: Vec<Route>,
    /// Addresses that send visitors elsewhere.
    pub redirects: Vec<AppRedirect>,
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
}

impl Store {
    /// Everything the reconciler has to know, as of one moment: eleven queries, however many apps there are.
    ///
    /// # Errors
    /// `Damaged` if a row or a config does not read.
    pub async fn desired(&self) -> Result<Desired, StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        self.read(move |tx| {
            Ok(Desired {
                apps: apps::all(tx)?,
                domains: domains::all(tx)?,
                global_domains: domains::global(tx)?,
                exposures: domains::all_switches(tx)?,
                routes: routes::all(tx)?,
                redirects: routes::all_redirects(tx)?,
                certificates: certificates::all(tx)?,
                scales: scale::all(tx)?,
                releases: releases::all_wanted(tx, &seal)?,
                restarts: scale::all_restarts(tx)?,
                proxy: proxy_settings::all(tx)?,
            })
        })
        .await
    }
}
