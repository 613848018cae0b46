//! The state the reconciler works towards.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Transaction;

use super::changes::Changes;
use super::part::Part;
use super::proxy_pages::Kept;
use super::seal::Seal;
use super::{
    Store, StoreError, apps, automatic, certificates, domains, pauses, ports, process_settings,
    proxy, releases, routes, scale, storage,
};
use crate::model::{
    App, AppId, AppMount, AppPort, AppProxy, AppRedirect, Automatic, CertificateId,
    CertificateOrigin, ContainerOption, Domain, DomainName, ProcessSettings, ProcessType, Release,
    Route, Scale, Timestamp,
};

/// The tables that are read here.
pub(super) const TABLES: &[&str] = &[
    "apps",
    "domains",
    "global_domains",
    "exposures",
    "routes",
    "redirects",
    "ports",
    "certificates",
    "automatic_certificates",
    "automatic_certificates_default",
    "scales",
    "releases",
    "restarts",
    "proxy_settings",
    "maintenance",
    "http_auth",
    "http_auth_users",
    "proxy_pages",
    "pauses",
    "storage_mounts",
    "process_settings",
    "container_options",
];

/// Everything the reconciler has to know, read in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    /// All apps, by name.
    pub apps: Part<Vec<App>>,
    /// Host names by app, in alphabetical order.
    pub domains: Part<Vec<Domain>>,
    /// The domains of the server that were added to those of its settings.
    pub global_domains: Part<Vec<DomainName>>,
    /// By app, where it differs from the default: whether it is reached, and whether at `<app>.<global domain>`.
    pub exposures: Part<BTreeMap<AppId, (bool, bool)>>,
    /// Addresses that lead to other processes, by app and address.
    pub routes: Part<Vec<Route>>,
    /// Addresses that send visitors elsewhere, by app and address.
    pub redirects: Part<Vec<AppRedirect>>,
    /// Ports of the host that lead to apps, by app.
    pub ports: Part<Vec<AppPort>>,
    /// Which certificates there are, by app, those of the server first. What they hold is read once each, with
    /// [`Store::certificate_pems`].
    pub certificates: Part<Vec<(Option<AppId>, CertificateId, CertificateOrigin)>>,
    /// For which apps certificates are ordered.
    pub automatic: Part<Automatic>,
    /// Scale by app.
    pub scales: Part<Vec<(AppId, Scale)>>,
    /// Releases that are candidate, prepared, current or draining, with their config.
    pub releases: Part<Vec<Release>>,
    /// Process types asked to be started anew, and when.
    pub restarts: Part<Vec<(AppId, ProcessType, Timestamp)>>,
    /// What was decided about requests, for each app with any such decision.
    pub proxy: Part<BTreeMap<AppId, AppProxy>>,
    /// Until when requests for an app wait; moments that have passed mean nothing.
    pub pauses: Part<BTreeMap<AppId, Timestamp>>,
    /// Folders that containers see, by app and path.
    pub mounts: Part<Vec<AppMount>>,
    /// What was set of processes, for each app with any such setting.
    pub process_settings: Part<BTreeMap<AppId, ProcessSettings>>,
    /// Options of the containers of processes, for each app with any.
    pub container_options: Part<BTreeMap<AppId, Vec<ContainerOption>>>,
}

/// What was read last: each part is good until something of it is written. The configs of releases are good for those that
/// are sealed as they were; one that is no longer wanted goes with the first read after its release was retired.
#[derive(Default)]
pub(super) struct Memory(Mutex<Option<Arc<Remembered>>>);

struct Remembered {
    /// How often each table had been written before it was read.
    writes: Writes,
    desired: Arc<Desired>,
    /// Where in `desired.releases` the config of a sealed value stands. A sealed value never comes twice: it begins with
    /// 24 random bytes.
    sealed: Arc<HashMap<Vec<u8>, usize>>,
}

/// How often each table was written.
#[derive(PartialEq, Eq)]
struct Writes(Vec<u64>);

impl Writes {
    fn now(changes: &Changes) -> Writes {
        let each = TABLES.iter().map(|table| changes.writes(&[table]));
        Writes(each.collect())
    }

    /// Whether none of these was written in between.
    fn is_same(&self, before: &Writes, tables: &[&str]) -> bool {
        let each = TABLES.iter().zip(self.0.iter().zip(&before.0));
        let mut named = each.filter(|(table, _)| tables.contains(table));
        named.all(|(_, (now, before))| now == before)
    }
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

/// One read: what was known before, and which of it is good still.
struct Reading<'a, 'tx> {
    tx: &'a Transaction<'tx>,
    before: Option<&'a Remembered>,
    writes: &'a Writes,
}

impl Reading<'_, '_> {
    /// The part as it was, if none of its tables was written since, or as it is read now.
    fn part<T>(
        &self,
        tables: &[&str],
        of: impl Fn(&Desired) -> &Part<T>,
        read: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<Part<T>, StoreError> {
        match self.before {
            Some(before) if self.writes.is_same(&before.writes, tables) => {
                Ok(of(&before.desired).clone())
            }
            Some(_) | None => read(self.tx).map(Part::from),
        }
    }
}

impl Store {
    /// Everything the reconciler has to know, as of one moment. What was not written since the last call is not read again
    /// and shared with its answer; no query when that is all.
    ///
    /// # Errors
    /// `Damaged` if a row or a config does not read.
    pub async fn desired(&self) -> Result<Arc<Desired>, StoreError> {
        // Counted before the read, so that a write in between is noticed by the next call.
        let writes = Writes::now(&self.inner.changes);
        let before = self.inner.desired.get();
        if let Some(before) = &before
            && before.writes == writes
        {
            return Ok(Arc::clone(&before.desired));
        }
        let seal = Arc::clone(&self.inner.seal);
        let pages = Arc::clone(&self.inner.pages);
        let read = self
            .read(move |tx| read(tx, before.as_deref(), writes, &seal, &pages))
            .await?;
        let desired = Arc::clone(&read.desired);
        self.inner.desired.set(Some(Arc::new(read)));
        Ok(desired)
    }
}

fn read(
    tx: &Transaction<'_>,
    before: Option<&Remembered>,
    writes: Writes,
    seal: &Seal,
    pages: &Kept,
) -> Result<Remembered, StoreError> {
    let known = |app, version, sealed: &[u8]| {
        let before = before?;
        let index = *before.sealed.get(sealed)?;
        let release = before.desired.releases.get(index)?;
        let is_same = release.app == app && release.version == version;
        is_same.then(|| release.config.clone())
    };
    let mut sealed = before.map(|before| Arc::clone(&before.sealed));
    let now = Reading {
        tx,
        before,
        writes: &writes,
    };
    let desired = Desired {
        // Which release is current is of both.
        apps: now.part(&["apps", "releases"], |was| &was.apps, apps::all)?,
        domains: now.part(&["domains"], |was| &was.domains, domains::all)?,
        global_domains: now.part(
            &["global_domains"],
            |was| &was.global_domains,
            domains::global,
        )?,
        exposures: now.part(&["exposures"], |was| &was.exposures, domains::all_switches)?,
        routes: now.part(&["routes"], |was| &was.routes, routes::all)?,
        redirects: now.part(&["redirects"], |was| &was.redirects, routes::all_redirects)?,
        ports: now.part(&["ports"], |was| &was.ports, ports::all)?,
        certificates: now.part(
            &["certificates"],
            |was| &was.certificates,
            certificates::all,
        )?,
        automatic: now.part(
            &["automatic_certificates", "automatic_certificates_default"],
            |was| &was.automatic,
            automatic::all,
        )?,
        scales: now.part(&["scales"], |was| &was.scales, scale::all)?,
        releases: now.part(
            &["releases"],
            |was| &was.releases,
            |tx| {
                let (releases, values) = releases::all_wanted(tx, seal, &known)?;
                sealed = Some(Arc::new(values.into_iter().zip(0..).collect()));
                Ok(releases)
            },
        )?,
        restarts: now.part(&["restarts"], |was| &was.restarts, scale::all_restarts)?,
        proxy: now.part(
            &[
                "proxy_settings",
                "maintenance",
                "http_auth",
                "http_auth_users",
                "proxy_pages",
            ],
            |was| &was.proxy,
            |tx| proxy::all(tx, pages),
        )?,
        pauses: now.part(&["pauses"], |was| &was.pauses, pauses::all)?,
        mounts: now.part(&["storage_mounts"], |was| &was.mounts, storage::all)?,
        process_settings: now.part(
            &["process_settings"],
            |was| &was.process_settings,
            process_settings::all,
        )?,
        container_options: now.part(
            &["container_options"],
            |was| &was.container_options,
            process_settings::all_options,
        )?,
    };
    Ok(Remembered {
        writes,
        desired: Arc::new(desired),
        sealed: sealed.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rusqlite::Connection;
    use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

    use super::*;
    use crate::store::migrate;

    /// How often each table is named by the statements of one read.
    fn tables_read(
        before: Option<&Remembered>,
        writes: Writes,
    ) -> (BTreeMap<String, u32>, Remembered) {
        let folder = tempfile::tempdir().unwrap();
        let seal = Seal::create(folder.path()).unwrap();
        let mut connection = Connection::open_in_memory().unwrap();
        migrate::migrate(&mut connection, migrate::STATE).unwrap();
        let read_from: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
        let noted = Arc::clone(&read_from);
        let note = move |context: AuthContext<'_>| {
            if let AuthAction::Read { table_name, .. } = context.action {
                *noted
                    .lock()
                    .unwrap()
                    .entry(table_name.to_owned())
                    .or_default() += 1;
            }
            Authorization::Allow
        };
        connection.authorizer(Some(note)).unwrap();
        let tx = connection.unchecked_transaction().unwrap();
        let read = read(&tx, before, writes, &seal, &Kept::default()).unwrap();
        let counts = read_from.lock().unwrap().clone();
        (counts, read)
    }

    fn none() -> Writes {
        Writes(vec![0; TABLES.len()])
    }

    /// What is written to these tables wakes the reconciler and is read again. SQLite itself says which they are.
    #[test]
    fn no_table_that_is_read_is_forgotten() {
        let (all, before) = tables_read(None, none());
        let mut listed: Vec<&str> = TABLES.to_vec();
        listed.sort_unstable();
        assert_eq!(all.keys().collect::<Vec<_>>(), listed);
        let (nothing, _) = tables_read(Some(&before), none());
        assert!(nothing.is_empty(), "{nothing:?}");
        for (index, table) in TABLES.iter().enumerate() {
            let mut writes = none();
            writes.0[index] = 1;
            let (again, _) = tables_read(Some(&before), writes);
            assert_eq!(again.get(*table), all.get(*table), "{table} in {again:?}");
        }
    }
}
