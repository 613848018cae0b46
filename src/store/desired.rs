//! The state the reconciler works towards.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::{
    Store, StoreError, apps, certificates, domains, pauses, ports, proxy, releases, routes, scale,
};
use crate::model::{
    App, AppId, AppPort, AppProxy, AppRedirect, CertificateId, CertificateOrigin, Domain,
    DomainName, ProcessType, Release, Route, Scale, Timestamp,
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
    /// Ports of the host that lead to apps, by app.
    pub ports: Vec<AppPort>,
    /// Which certificates there are, by app. What they hold is read once each, with [`Store::certificate_pems`].
    pub certificates: Vec<(AppId, CertificateId, CertificateOrigin)>,
    /// Scale by app.
    pub scales: Vec<(AppId, Scale)>,
    /// Releases that are candidate, prepared, current or draining, with their config.
    pub releases: Vec<Release>,
    /// Process types asked to be started anew, and when.
    pub restarts: Vec<(AppId, ProcessType, Timestamp)>,
    /// What was decided about requests, for each app with any such decision.
    pub proxy: BTreeMap<AppId, AppProxy>,
    /// Until when requests for an app wait; moments that have passed mean nothing.
    pub pauses: BTreeMap<AppId, Timestamp>,
}

/// What was read last: good until the next write, and then good for the configs that are sealed as they were. A config
/// that is no longer wanted goes with the first read after its release was retired.
#[derive(Default)]
pub(super) struct Memory(Mutex<Option<Arc<Remembered>>>);

struct Remembered {
    /// The count of writes before it was read.
    writes: u64,
    desired: Arc<Desired>,
    /// Where in `desired.releases` the config of a sealed value stands. A sealed value never comes twice: it begins with
    /// 24 random bytes.
    sealed: HashMap<Vec<u8>, usize>,
}

impl Memory {
    pub(super) fn clear(&self) {
        self.set(None);
    }

    fn get(&self) -> Option<Arc<Remembered>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, remembered: Option<Arc<Remembered>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = remembered;
    }
}

impl Store {
    /// Everything the reconciler has to know, as of one moment: thirteen queries, however many apps there are, one for each
    /// page that is new, and none when nothing was written since the last call.
    ///
    /// # Errors
    /// `Damaged` if a row or a config does not read.
    pub async fn desired(&self) -> Result<Arc<Desired>, StoreError> {
        // Counted before the read, so that a write in between is noticed by the next call.
        let writes = self.inner.writer.writes();
        let before = self.inner.desired.get();
        if let Some(before) = &before
            && before.writes == writes
        {
            return Ok(Arc::clone(&before.desired));
        }
        let seal = Arc::clone(&self.inner.seal);
        let pages = Arc::clone(&self.inner.pages);
        let read = self
            .read(move |tx| {
                let known = |app, version, sealed: &[u8]| {
                    let before = before.as_ref()?;
                    let index = *before.sealed.get(sealed)?;
                    let release = before.desired.releases.get(index)?;
                    let is_same = release.app == app && release.version == version;
                    is_same.then(|| release.config.clone())
                };
                let (releases, sealed) = releases::all_wanted(tx, &seal, &known)?;
                let desired = Desired {
                    apps: apps::all(tx)?,
                    domains: domains::all(tx)?,
                    global_domains: domains::global(tx)?,
                    exposures: domains::all_switches(tx)?,
                    routes: routes::all(tx)?,
                    redirects: routes::all_redirects(tx)?,
                    ports: ports::all(tx)?,
                    certificates: certificates::all(tx)?,
                    scales: scale::all(tx)?,
                    releases,
                    restarts: scale::all_restarts(tx)?,
                    proxy: proxy::all(tx, &pages)?,
                    pauses: pauses::all(tx)?,
                };
                Ok(Remembered {
                    writes,
                    desired: Arc::new(desired),
                    sealed: sealed.into_iter().zip(0..).collect(),
                })
            })
            .await?;
        let desired = Arc::clone(&read.desired);
        self.inner.desired.set(Some(Arc::new(read)));
        Ok(desired)
    }
}
