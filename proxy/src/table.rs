//! The route table: a plain value that says which service answers for which host and path.

use crate::host::{Host, HostPattern, parent, routing_name};
use crate::path::{PathPrefix, Readings};
use crate::port_routes::PortRoutes;
use crate::redirect::Redirect;
use crate::references::References;
use crate::service::Service;
use crate::sharded::Sharded;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where a route leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// To the processes of an app.
    Service(Arc<Service>),
    /// Elsewhere.
    Redirect(Arc<Redirect>),
}

impl Target {
    /// Whose it is.
    pub fn name(&self) -> &str {
        match self {
            Target::Service(service) => &service.name,
            Target::Redirect(redirect) => &redirect.name,
        }
    }
}

impl From<Arc<Service>> for Target {
    fn from(service: Arc<Service>) -> Target {
        Target::Service(service)
    }
}

impl From<Arc<Redirect>> for Target {
    fn from(redirect: Arc<Redirect>) -> Target {
        Target::Redirect(redirect)
    }
}

/// A path of a host that leads elsewhere than the rest of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathRoute {
    /// The paths it is for.
    pub prefix: PathPrefix,
    /// Whether the service gets its requests without the prefix, which `X-Forwarded-Prefix` then names.
    pub is_stripped: bool,
    /// Where they go.
    pub target: Target,
}

/// Where the requests for one host go.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HostRoutes {
    /// All that no path has; `None` leaves it to the wildcard above, if there is one.
    whole: Option<Target>,
    /// Longest first, so that the first that fits is the one.
    paths: Vec<PathRoute>,
}

impl HostRoutes {
    /// Where requests go that no path route is for.
    pub fn whole(&self) -> Option<&Target> {
        self.whole.as_ref()
    }

    /// The routes of paths, longer ones before shorter ones.
    pub fn paths(&self) -> &[PathRoute] {
        &self.paths
    }

    pub(crate) fn targets(&self) -> impl Iterator<Item = &Target> {
        let of_paths = self.paths.iter().map(|route| &route.target);
        self.whole.iter().chain(of_paths)
    }
}

/// Which service answers for which host and path.
///
/// A plain value: build one, compare it, hand it to [`ProxyHandle::set_table`](crate::ProxyHandle::set_table).
/// Copies share what they have in common, so a copy with one change is made in microseconds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RouteTable {
    exact: Sharded<Host, Arc<HostRoutes>>,
    /// By the name behind the `*.`.
    wildcard: Sharded<Host, Arc<HostRoutes>>,
    /// Of the ports that were opened beside the listeners.
    ports: Arc<BTreeMap<u16, Arc<PortRoutes>>>,
    references: References,
}

/// Whether a name was found itself or as one label in front of a wildcard's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Level {
    Exact,
    Wildcard,
}

/// Which of a host's routes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Whole,
    /// The index of a path route.
    Path(usize),
}

/// What a table says about a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chosen<'a> {
    /// Where the request goes.
    pub target: &'a Target,
    /// The path it was chosen by, if not the whole host.
    pub path: Option<&'a PathRoute>,
}

impl<'a> Chosen<'a> {
    /// The service, if the request is not redirected.
    pub fn service(&self) -> Option<&'a Arc<Service>> {
        match self.target {
            Target::Service(service) => Some(service),
            Target::Redirect(_) => None,
        }
    }
}

/// Why a table says nothing about a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unrouted {
    /// The text is no host name.
    #[error("the request names no valid host")]
    Malformed,
    /// No route for this host, or for this path of it.
    #[error("no route is for this host")]
    Unknown,
    /// The path can be read in two ways that lead to different places.
    #[error("the path can be read in two ways that lead to different places")]
    Ambiguous,
}

impl RouteTable {
    /// Sends a host's requests, those that no path route is for, to a service, in place of where they went.
    pub fn insert(&mut self, host: HostPattern, service: Arc<Service>) {
        self.insert_target(host, Target::Service(service));
    }

    /// The same, to a service or a redirect.
    pub fn insert_target(&mut self, host: HostPattern, target: Target) {
        self.change(host, |routes| routes.whole = Some(target));
    }

    /// Sends some paths of a host elsewhere than the rest, in place of the route the same path had.
    pub fn insert_path(&mut self, host: HostPattern, route: PathRoute) {
        self.change(host, |routes| {
            let paths = &mut routes.paths;
            paths.retain(|known| known.prefix != route.prefix);
            let segments = route.prefix.segments();
            let at = paths.partition_point(|known| {
                (known.prefix.segments(), &route.prefix) > (segments, &known.prefix)
            });
            paths.insert(at, route);
        });
    }

    /// Gives a host these routes in place of all it had; none at all forgets it. Equal ones change nothing.
    pub fn replace(&mut self, host: HostPattern, whole: Option<Target>, mut paths: Vec<PathRoute>) {
        paths.sort_by(|one, other| {
            let (longer, shorter) = (other.prefix.segments(), one.prefix.segments());
            (longer, &one.prefix).cmp(&(shorter, &other.prefix))
        });
        let new = HostRoutes { whole, paths };
        if new == HostRoutes::default() {
            self.remove(&host);
            return;
        }
        let (hosts, name) = self.hosts_mut(&host);
        if hosts.get(name).is_none_or(|old| **old != new) {
            self.change(host, |routes| *routes = new);
        }
    }

    /// Forgets a host with all its paths; answers what it had.
    pub fn remove(&mut self, host: &HostPattern) -> Option<Arc<HostRoutes>> {
        let (hosts, name) = self.hosts_mut(host);
        let removed = hosts.remove(name)?;
        for target in removed.targets() {
            self.references.remove(target);
        }
        Some(removed)
    }

    fn hosts_mut<'a>(
        &mut self,
        host: &'a HostPattern,
    ) -> (&mut Sharded<Host, Arc<HostRoutes>>, &'a Host) {
        match host {
            HostPattern::Exact(name) => (&mut self.exact, name),
            HostPattern::Wildcard(name) => (&mut self.wildcard, name),
        }
    }

    fn change(&mut self, host: HostPattern, change: impl FnOnce(&mut HostRoutes)) {
        let (hosts, name) = self.hosts_mut(&host);
        let old = hosts.get(name).cloned().unwrap_or_default();
        let mut new = HostRoutes::clone(&old);
        change(&mut new);
        let new = Arc::new(new);
        hosts.insert(name.clone(), Arc::clone(&new));
        // First what is new, so that what is in both never leaves.
        for target in new.targets() {
            self.references.add(target);
        }
        for target in old.targets() {
            self.references.remove(target);
        }
    }

    /// Where a request goes, by its `Host` header or authority, of which port, case and one trailing dot do not
    /// matter, and by the path of its target without the query.
    ///
    /// An exact name goes before a wildcard, a longer path before a shorter one, a path before the whole host. A
    /// wildcard is also asked for paths that the exact name leaves open.
    ///
    /// # Errors
    /// Nothing is chosen for what is no host name, for a host without a route, and for a path that leads to two
    /// places, depending on how it is read.
    pub fn choose(&self, host_header: &str, path: &str) -> Result<Chosen<'_>, Unrouted> {
        let name = routing_name(host_header).ok_or(Unrouted::Malformed)?;
        let exact = self.exact.get(name.as_ref()).map(Arc::as_ref);
        let above = parent(&name).and_then(|above| self.wildcard.get(above));
        let above = above.map(Arc::as_ref);
        let (level, place) = find(exact, above, path)?;
        Self::chosen(level, place, exact, above)
    }

    /// What [`find`] has found among the routes of a name itself and of the wildcard above it.
    pub(crate) fn chosen<'a>(
        level: Level,
        place: Place,
        exact: Option<&'a HostRoutes>,
        above: Option<&'a HostRoutes>,
    ) -> Result<Chosen<'a>, Unrouted> {
        let routes = match level {
            Level::Exact => exact,
            Level::Wildcard => above,
        };
        let routes = routes.ok_or(Unrouted::Unknown)?;
        let path = match place {
            Place::Whole => None,
            Place::Path(at) => Some(routes.paths.get(at).ok_or(Unrouted::Unknown)?),
        };
        let whole = routes.whole.as_ref();
        let target = path.map(|route| &route.target).or(whole);
        let target = target.ok_or(Unrouted::Unknown)?;
        Ok(Chosen { target, path })
    }

    /// Gives a port that was opened beside the listeners these routes, in place of those it had.
    pub fn set_port(&mut self, port: u16, routes: PortRoutes) {
        // First what is new, so that what is in both never leaves.
        for target in routes.targets() {
            self.references.add(target);
        }
        let before = Arc::make_mut(&mut self.ports).insert(port, Arc::new(routes));
        self.forget(before.as_deref());
    }

    /// Forgets the routes of a port; answers what it had.
    pub fn remove_port(&mut self, port: u16) -> Option<Arc<PortRoutes>> {
        if !self.ports.contains_key(&port) {
            return None;
        }
        let removed = Arc::make_mut(&mut self.ports).remove(&port);
        self.forget(removed.as_deref());
        removed
    }

    fn forget(&mut self, routes: Option<&PortRoutes>) {
        for target in routes.into_iter().flat_map(PortRoutes::targets) {
            self.references.remove(target);
        }
    }

    /// The ports that have routes of their own, in order.
    pub fn ports(&self) -> impl Iterator<Item = (u16, &PortRoutes)> {
        self.ports.iter().map(|(port, routes)| (*port, &**routes))
    }

    pub(crate) fn port(&self, port: u16) -> Option<&Arc<PortRoutes>> {
        self.ports.get(&port)
    }

    /// Where requests for a host go, if it has routes under just this name or wildcard.
    pub fn routes_of(&self, host: &HostPattern) -> Option<&HostRoutes> {
        match host {
            HostPattern::Exact(name) => self.exact_routes(name.as_str()),
            HostPattern::Wildcard(name) => self.wildcard_routes(name.as_str()),
        }
    }

    /// Gives a host all the routes that it has in another table.
    pub fn insert_routes(&mut self, host: HostPattern, routes: &HostRoutes) {
        self.change(host, |own| own.clone_from(routes));
    }

    pub(crate) fn exact_routes(&self, name: &str) -> Option<&HostRoutes> {
        self.exact.get(name).map(Arc::as_ref)
    }

    pub(crate) fn wildcard_routes(&self, above: &str) -> Option<&HostRoutes> {
        self.wildcard.get(above).map(Arc::as_ref)
    }

    pub(crate) fn has_exact(&self, name: &str) -> bool {
        self.exact.get(name).is_some()
    }

    pub(crate) fn has_wildcard(&self, above: &str) -> bool {
        self.wildcard.get(above).is_some()
    }

    /// All targets of all hosts, without those of ports.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &Target> {
        let hosts = self.exact.iter().chain(self.wildcard.iter());
        hosts.flat_map(|(_, routes)| routes.targets())
    }

    /// The routes of a name that [`routing_name`] has read, or for a wildcard of what [`parent`] says of it, with
    /// the host as the table has it.
    pub(crate) fn find(&self, level: Level, name: &str) -> Option<(&Host, &Arc<HostRoutes>)> {
        match level {
            Level::Exact => self.exact.get_key_value(name),
            Level::Wildcard => self.wildcard.get_key_value(name),
        }
    }

    /// All hosts with their routes, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (HostPattern, &HostRoutes)> {
        let exact = self.exact.iter();
        let wildcard = self.wildcard.iter();
        exact
            .map(|(host, routes)| (HostPattern::Exact(host.clone()), routes.as_ref()))
            .chain(
                wildcard
                    .map(|(host, routes)| (HostPattern::Wildcard(host.clone()), routes.as_ref())),
            )
    }

    /// How many hosts are routed.
    pub fn len(&self) -> usize {
        self.exact.len() + self.wildcard.len()
    }

    /// True when no host is routed.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty()
    }

    /// The ids of all upstreams of all services, each once.
    pub fn upstream_ids(&self) -> BTreeSet<&str> {
        self.references.upstream_ids().collect()
    }

    pub(crate) fn references(&self) -> &References {
        &self.references
    }

    /// The hosts of `old` whose routes are not the very same here.
    pub(crate) fn changed_since<'a>(
        &'a self,
        old: &'a RouteTable,
    ) -> impl Iterator<Item = (Level, &'a Host, &'a HostRoutes)> {
        let exact = self.exact.changed_since(&old.exact);
        let wildcard = self.wildcard.changed_since(&old.wildcard);
        exact
            .map(|change| (Level::Exact, change))
            .chain(wildcard.map(|change| (Level::Wildcard, change)))
            .filter(|(_, (_, before, now))| !now.is_some_and(|now| Arc::ptr_eq(before, now)))
            .map(|(level, (host, before, _))| (level, host, before.as_ref()))
    }

    /// Shares with `old` all that is equal; answers whether that is everything.
    pub(crate) fn share_with(&mut self, old: &RouteTable) -> bool {
        self.exact.share_with(&old.exact);
        self.wildcard.share_with(&old.wildcard);
        self.references.share_with(&old.references);
        self.share_ports_with(old);
        self.is_shared_with(old)
    }

    fn share_ports_with(&mut self, old: &RouteTable) {
        if self.ports == old.ports {
            self.ports = Arc::clone(&old.ports);
            return;
        }
        for (port, routes) in Arc::make_mut(&mut self.ports) {
            match old.ports.get(port) {
                Some(before) if *before == *routes => *routes = Arc::clone(before),
                Some(before) => Arc::make_mut(routes).share_with(before),
                None => {}
            }
        }
    }

    /// Whether nothing was changed since one was copied from the other.
    pub(crate) fn is_shared_with(&self, old: &RouteTable) -> bool {
        self.exact.is_shared_with(&old.exact)
            && self.wildcard.is_shared_with(&old.wildcard)
            && Arc::ptr_eq(&self.ports, &old.ports)
    }
}

/// Where a path leads, in both of its readings.
///
/// # Errors
/// `Unknown` if nowhere, `Ambiguous` if the readings lead to different places.
pub(crate) fn find(
    exact: Option<&HostRoutes>,
    wildcard: Option<&HostRoutes>,
    path: &str,
) -> Result<(Level, Place), Unrouted> {
    if let Some(exact) = exact
        && exact.paths.is_empty()
        && exact.whole.is_some()
    {
        return Ok((Level::Exact, Place::Whole));
    }
    let readings = Readings::of(path);
    let (mut written, mut resolved) = (None, None);
    let levels = [(Level::Exact, exact), (Level::Wildcard, wildcard)];
    for (level, routes) in levels {
        let Some(routes) = routes else { continue };
        let prefixes = routes.paths.iter().map(|route| &route.prefix);
        let found = readings.longest(prefixes);
        let whole = routes.whole.as_ref().map(|_| Place::Whole);
        let at = |found: Option<usize>| Some((level, found.map(Place::Path).or(whole)?));
        written = written.or_else(|| at(found.0));
        resolved = resolved.or_else(|| at(found.1));
    }
    if written == resolved {
        written.ok_or(Unrouted::Unknown)
    } else {
        Err(Unrouted::Ambiguous)
    }
}

#[cfg(test)]
mod tests;
