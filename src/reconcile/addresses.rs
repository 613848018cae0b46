//! Which apps have which host names, kept from one look to the next: what a row changes costs what that row is about, and
//! not as much as there are names.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::plan::Rules;
use crate::model::{App, AppId, DomainName, Exposure};
use crate::store::Desired;

/// The host names of all apps.
pub(super) struct Addresses {
    desired: Arc<Desired>,
    /// The domains of the server, those of its settings first.
    bases: Vec<DomainName>,
    /// Where in the list of apps an app is.
    places: HashMap<AppId, usize>,
    by_name: HashMap<String, AppId>,
    owners: HashMap<DomainName, AppId>,
    redirected: HashMap<DomainName, Vec<AppId>>,
    rules: Arc<Rules>,
}

/// The apps that are visited under a host name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    /// The one whose `web` answers where nothing else was said. None where it is only redirected.
    pub web: Option<AppId>,
    /// All of them, by id.
    pub apps: Vec<AppId>,
}

impl Addresses {
    /// Without any app yet.
    pub(super) fn new(rules: Arc<Rules>) -> Addresses {
        Addresses {
            desired: Arc::default(),
            bases: rules.base_domains.clone(),
            places: HashMap::new(),
            by_name: HashMap::new(),
            owners: HashMap::new(),
            redirected: HashMap::new(),
            rules,
        }
    }

    /// What was followed last.
    pub(super) fn desired(&self) -> &Arc<Desired> {
        &self.desired
    }

    /// An app that there is.
    pub(super) fn app(&self, id: AppId) -> Option<&App> {
        self.desired.apps.get(*self.places.get(&id)?)
    }

    /// Takes note of what is desired now; returns the names that may belong to others than before.
    pub(super) fn follow(&mut self, desired: &Arc<Desired>) -> HashSet<DomainName> {
        let before = std::mem::replace(&mut self.desired, Arc::clone(desired));
        let mut touched: HashSet<AppId> = HashSet::new();
        let mut names = self.follow_domains(&before);
        if !before.apps.is_same(&desired.apps) {
            touched.extend(self.follow_apps(&before));
        }
        if !before.exposures.is_same(&desired.exposures) {
            let all = before.exposures.keys().chain(desired.exposures.keys());
            let changed = all.filter(|app| before.exposures.get(app) != desired.exposures.get(app));
            touched.extend(changed);
        }
        if !before.redirects.is_same(&desired.redirects) {
            let key =
                |redirect: &crate::model::AppRedirect| (redirect.app, redirect.address.clone());
            for (was, is) in differing(&before.redirects, &desired.redirects, key) {
                touched.extend(was.into_iter().chain(is).map(|redirect| redirect.app));
            }
            self.redirected.clear();
            for redirect in &desired.redirects {
                if let Some(domain) = &redirect.address.domain {
                    let apps = self.redirected.entry(domain.clone()).or_default();
                    apps.push(redirect.app);
                }
            }
        }
        if before.global_domains != *desired.global_domains {
            let all = before.apps.iter().chain(&desired.apps);
            touched.extend(all.map(|app| app.id));
            let bases = self.rules.base_domains.iter();
            self.bases = bases.chain(&desired.global_domains).cloned().collect();
        }
        for world in [&before, desired] {
            let apps = world.apps.iter();
            for app in apps.filter(|app| touched.contains(&app.id)) {
                names.extend(names_of(world, app, &self.rules));
            }
        }
        names
    }

    fn follow_domains(&mut self, before: &Desired) -> HashSet<DomainName> {
        let mut names = HashSet::new();
        let now = &self.desired.domains;
        if before.domains.is_same(now) {
            return names;
        }
        let changes = differing(&before.domains, now, |domain| {
            (domain.app, domain.name.clone())
        });
        // First what has gone: a name may have gone from one app to another.
        for gone in changes.iter().filter_map(|(was, _)| *was) {
            self.owners.remove(&gone.name);
            names.insert(gone.name.clone());
        }
        for new in changes.iter().filter_map(|(_, is)| *is) {
            self.owners.insert(new.name.clone(), new.app);
            names.insert(new.name.clone());
        }
        names
    }

    /// The apps that came, went, or have another name.
    fn follow_apps(&mut self, before: &Desired) -> Vec<AppId> {
        let named = |apps: &[App]| -> HashMap<AppId, String> {
            let each = apps.iter();
            each.map(|app| (app.id, app.name.to_string())).collect()
        };
        let (was, is) = (named(&before.apps), named(&self.desired.apps));
        let all = was.keys().chain(is.keys());
        let changed = all.filter(|app| was.get(app) != is.get(app));
        let changed = changed.copied().collect();
        self.by_name = is.into_iter().map(|(id, name)| (name, id)).collect();
        let apps = self.desired.apps.iter();
        self.places = apps.map(|app| app.id).zip(0..).collect();
        changed
    }

    /// The apps that a name belongs to. What was asked for by name goes before what an app has without asking: one app's
    /// domain `shop.localhost` is its own, also where an app `shop` comes into being later.
    pub(super) fn claims(&self, host: &DomainName) -> Claims {
        let is_public = |app: &AppId| self.switches(*app).0;
        let own = self.owners.get(host).copied().filter(is_public);
        let text = host.as_str();
        let named = |name: &str| self.by_name.get(name).copied();
        let whole = named(text).filter(|_| text.contains('.'));
        let in_front = self.bases.iter().filter_map(|base| {
            let name = text.strip_suffix(base.as_str())?.strip_suffix('.')?;
            named(name)
        });
        let mut apps: Vec<AppId> = whole
            .into_iter()
            .chain(in_front)
            .filter(|app| self.switches(*app) == (true, true))
            .collect();
        // Where it is the name of two, that of the later one counts.
        let by_default = apps.iter().copied().max_by_key(|app| self.places.get(app));
        let redirected = self.redirected.get(host).into_iter().flatten();
        apps.extend(redirected.copied().filter(is_public));
        apps.extend(own);
        apps.sort_unstable();
        apps.dedup();
        Claims {
            web: own.or(by_default),
            apps,
        }
    }

    /// Whether an app is reached, and whether at `<app>.<base>`.
    fn switches(&self, app: AppId) -> (bool, bool) {
        let switches = self.desired.exposures.get(&app).copied();
        switches.unwrap_or((true, true))
    }

    /// The names under which visitors may come to an app, redirected ones included.
    pub(super) fn names(&self, app: AppId) -> Vec<DomainName> {
        let app = self.app(app);
        app.map_or_else(Vec::new, |app| names_of(&self.desired, app, &self.rules))
    }

    /// The names of all apps.
    pub(super) fn all_names(&self) -> HashSet<DomainName> {
        let apps = self.desired.apps.iter();
        apps.flat_map(|app| names_of(&self.desired, app, &self.rules))
            .collect()
    }
}

/// The names under which visitors may come to an app, redirected ones included, the one to show first.
pub(super) fn names_of(desired: &Desired, app: &App, rules: &Rules) -> Vec<DomainName> {
    let exposure = exposure(desired, app.id);
    let mut names = exposure.names(&app.name, &rules.base_domains);
    if !exposure.is_public {
        return names;
    }
    for redirect in of_app(&desired.redirects, app.id, |redirect| redirect.app) {
        if let Some(name) = &redirect.address.domain
            && !names.contains(name)
        {
            names.push(name.clone());
        }
    }
    names
}

/// The names an app is to answer at.
fn exposure(desired: &Desired, app: AppId) -> Exposure {
    let (is_public, has_global) = desired.exposures.get(&app).copied().unwrap_or((true, true));
    let own = of_app(&desired.domains, app, |domain| domain.app);
    Exposure {
        own: own.map(|domain| domain.name.clone()).collect(),
        global: desired.global_domains.to_vec(),
        is_public,
        has_global,
    }
}

/// Those of a list in the order of apps, as the store has it, that are of one app.
pub(super) fn of_app<T>(
    list: &[T],
    app: AppId,
    of: impl Fn(&T) -> AppId,
) -> impl Iterator<Item = &T> {
    let from = list.partition_point(|item| of(item) < app);
    let rest = list.iter().skip(from);
    rest.take_while(move |item| of(item) == app)
}

/// What two lists in the order of `key` do not have in common: each item that went, came, or changed.
pub(super) fn differing<'a, T: PartialEq, K: Ord>(
    before: &'a [T],
    now: &'a [T],
    key: impl Fn(&T) -> K,
) -> Vec<(Option<&'a T>, Option<&'a T>)> {
    let (mut before, mut now) = (before.iter().peekable(), now.iter().peekable());
    let mut differing = Vec::new();
    loop {
        let order = match (before.peek(), now.peek()) {
            (None, None) => return differing,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            // Nearly all are equal, which is found without their keys.
            (Some(was), Some(is)) if was == is => {
                before.next();
                now.next();
                continue;
            }
            (Some(was), Some(is)) => key(was).cmp(&key(is)),
        };
        differing.push(match order {
            Ordering::Less => (before.next(), None),
            Ordering::Greater => (None, now.next()),
            Ordering::Equal => (before.next(), now.next()),
        });
    }
}
