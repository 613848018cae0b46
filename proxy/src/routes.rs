//! One thread's view of the table: services it has met, with this thread's connections and counts.

mod met;
mod service;

use crate::counters::Tally;
use crate::handle::{Published, Shared};
use crate::host::{Host, parent, routing_name};
use crate::ledger::Ledger;
use crate::path::PathPrefix;
use crate::pool::{IdleClock, LocalUpstream};
use crate::port_routes::Elsewhere;
use crate::redirect::Redirect;
use crate::service::{Service, Upstream};
use crate::settings::ProxySettings;
use crate::table::{HostRoutes, Level, PathRoute, Place, Target, Unrouted, find};
use arc_swap::{ArcSwap, Cache};
use met::Met;
use std::cell::{RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;

pub(crate) use service::{Avoided, LocalService};

/// A redirect as one thread sees it.
#[derive(Debug)]
pub(crate) struct LocalRedirect {
    pub(crate) redirect: Arc<Redirect>,
    pub(crate) tally: Arc<Tally>,
    /// The path it is for, if not the whole host.
    pub(crate) prefix: Option<PathPrefix>,
}

/// Where a route leads, as one thread sees it.
#[derive(Debug)]
pub(crate) enum Routed {
    Service(Served),
    Redirect(Rc<LocalRedirect>),
}

/// The service for a request, and the route that leads to it.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) service: Rc<LocalService>,
    pub(crate) route: LocalRoute,
}

/// A route: by it a request is routed again.
#[derive(Debug)]
pub(crate) enum LocalRoute {
    /// Of a host.
    Host {
        /// The port of its own that the request came in by, if it did.
        port: Option<u16>,
        host: Rc<LocalHost>,
        place: Place,
    },
    /// What a port of its own does with hosts that nobody knows.
    Otherwise { port: u16 },
}

impl LocalRoute {
    /// The route of the path, if it is not the whole host's.
    fn path(&self) -> Option<&PathRoute> {
        match self {
            LocalRoute::Host {
                host,
                place: Place::Path(at),
                ..
            } => host.routes.paths().get(*at),
            LocalRoute::Host {
                place: Place::Whole,
                ..
            }
            | LocalRoute::Otherwise { .. } => None,
        }
    }

    /// What is taken from the beginning of paths, where anything is.
    pub(crate) fn stripped(&self) -> Option<&PathPrefix> {
        let path = self.path().filter(|path| path.is_stripped);
        path.map(|path| &path.prefix)
    }
}

/// A host as one thread sees it. There may be very many: what they have in common is in their service.
#[derive(Debug)]
pub(crate) struct LocalHost {
    level: Level,
    name: Host,
    routes: Arc<HostRoutes>,
    whole: Option<LocalTarget>,
    /// As many as the routes have, in their order.
    paths: Box<[LocalTarget]>,
}

#[derive(Clone, Debug)]
enum LocalTarget {
    Service(Rc<LocalService>),
    Redirect(Rc<LocalRedirect>),
}

impl LocalTarget {
    /// Where a request goes that was led here by this route.
    fn behind(self, route: impl FnOnce() -> LocalRoute) -> Routed {
        match self {
            LocalTarget::Service(service) => Routed::Service(Served {
                service,
                route: route(),
            }),
            LocalTarget::Redirect(redirect) => Routed::Redirect(redirect),
        }
    }
}

impl LocalHost {
    fn target(&self, place: Place) -> Option<&LocalTarget> {
        match place {
            Place::Whole => self.whole.as_ref(),
            Place::Path(at) => self.paths.get(at),
        }
    }
}

/// Where a path of a host leads, by the routes of its name and of the wildcard above it.
fn chosen(
    port: Option<u16>,
    exact: Option<Rc<LocalHost>>,
    above: Option<Rc<LocalHost>>,
    path: &str,
) -> Result<Routed, Unrouted> {
    let routes = |host: &Option<Rc<LocalHost>>| host.as_ref().map(|host| Arc::clone(&host.routes));
    let (of_exact, of_above) = (routes(&exact), routes(&above));
    let (level, place) = find(of_exact.as_deref(), of_above.as_deref(), path)?;
    let host = match level {
        Level::Exact => exact,
        Level::Wildcard => above,
    };
    routed(port, host.ok_or(Unrouted::Unknown)?, place)
}

/// The table as one thread has met it so far.
#[derive(Debug)]
pub(crate) struct Routes {
    published: RefCell<Cache<Arc<ArcSwap<Published>>, Arc<Published>>>,
    met: RefCell<Met>,
    shared: Arc<Shared>,
    ledger: Arc<Ledger>,
    clock: Rc<IdleClock>,
    settings: Arc<ProxySettings>,
}

fn routed(port: Option<u16>, host: Rc<LocalHost>, place: Place) -> Result<Routed, Unrouted> {
    let target = host.target(place).ok_or(Unrouted::Unknown)?.clone();
    Ok(target.behind(|| LocalRoute::Host { port, host, place }))
}

impl Routes {
    pub(crate) fn new(
        shared: Arc<Shared>,
        ledger: Arc<Ledger>,
        settings: Arc<ProxySettings>,
    ) -> Routes {
        Routes {
            published: RefCell::new(Cache::new(Arc::clone(&shared.published))),
            met: RefCell::default(),
            shared,
            ledger,
            clock: Rc::default(),
            settings,
        }
    }

    /// The clock that idle connections of this thread are dated by.
    pub(crate) fn clock(&self) -> &Rc<IdleClock> {
        &self.clock
    }

    /// Where a request goes by the newest table, by its `Host` header or authority and the path of its target.
    /// The rule is that of [`crate::RouteTable::choose`].
    ///
    /// To be followed by [`LocalService::pick`] without an await between: see [`crate::handle`].
    pub(crate) fn route(&self, host: &str, path: &str) -> Result<Routed, Unrouted> {
        let mut met = self.newest();
        let name = routing_name(host).ok_or(Unrouted::Malformed)?;
        let exact = self.meet_host(&mut met, None, Level::Exact, &name);
        // Nearly all hosts: one look-up, and the path does not matter.
        if let Some(exact) = &exact
            && exact.paths.is_empty()
            && exact.whole.is_some()
        {
            return routed(None, Rc::clone(exact), Place::Whole);
        }
        let above = parent(&name);
        let above = above.and_then(|above| self.meet_host(&mut met, None, Level::Wildcard, above));
        chosen(None, exact, above, path)
    }

    /// The same for a request that came in by a port of its own; the rule is that of
    /// [`crate::RouteTable::choose_at`].
    pub(crate) fn route_at(&self, port: u16, host: &str, path: &str) -> Result<Routed, Unrouted> {
        let mut met = self.newest();
        let name = routing_name(host).ok_or(Unrouted::Malformed)?;
        let elsewhere = Elsewhere::of(&met.table.table, &name);
        let exact = self.meet_host(&mut met, Some(port), Level::Exact, &name);
        let above = match (&exact, elsewhere) {
            (None, Elsewhere::Exact) => None,
            _ => parent(&name),
        };
        let above =
            above.and_then(|above| self.meet_host(&mut met, Some(port), Level::Wildcard, above));
        if exact.is_some() || above.is_some() {
            return chosen(Some(port), exact, above, path);
        }
        match elsewhere {
            Elsewhere::Nothing => self.otherwise(&mut met, port).ok_or(Unrouted::Unknown),
            Elsewhere::Wildcard | Elsewhere::Exact => Err(Unrouted::Unknown),
        }
    }

    /// Where the requests for a host go or, if only some of its paths lead anywhere, where one of these does; rather to a
    /// redirect, which is of the app that has the host, while a path may lead to the processes of another.
    pub(crate) fn owner(&self, host: &str) -> Option<Target> {
        let met = self.newest();
        let name = routing_name(host)?;
        let exact = met.table.table.find(Level::Exact, &name);
        let above = parent(&name).and_then(|above| met.table.table.find(Level::Wildcard, above));
        let mut all = [exact, above].into_iter().flatten();
        all.find_map(|(_, routes)| {
            let is_redirect = |target: &&Target| matches!(target, Target::Redirect(_));
            let paths = || routes.paths().iter().map(|route| &route.target);
            let whole = routes.whole();
            let found = whole
                .or_else(|| paths().find(is_redirect))
                .or_else(|| paths().next());
            found.cloned()
        })
    }

    /// The service that is now behind the route a request was sent by before, if that still leads to one.
    pub(crate) fn route_again(&self, before: &LocalRoute) -> Result<Served, Unrouted> {
        let mut met = self.newest();
        let routed = match before {
            LocalRoute::Host { port, host, .. } => {
                let host = self.meet_host(&mut met, *port, host.level, host.name.as_str());
                let host = host.ok_or(Unrouted::Unknown)?;
                let place = match before.path() {
                    None => Place::Whole,
                    Some(path) => {
                        let mut paths = host.routes.paths().iter();
                        let at = paths.position(|route| route.prefix == path.prefix);
                        Place::Path(at.ok_or(Unrouted::Unknown)?)
                    }
                };
                routed(*port, host, place)?
            }
            LocalRoute::Otherwise { port } => {
                self.otherwise(&mut met, *port).ok_or(Unrouted::Unknown)?
            }
        };
        match routed {
            Routed::Service(served) if served.route.stripped() == before.stripped() => Ok(served),
            // It leads elsewhere now, where this request, as it has been prepared, does not belong.
            Routed::Service(_) | Routed::Redirect(_) => Err(Unrouted::Unknown),
        }
    }

    fn newest(&self) -> RefMut<'_, Met> {
        let mut met = self.met.borrow_mut();
        met.advance(self.published.borrow_mut().load());
        met
    }

    /// The host of this name, if any route of the listeners themselves, or of a port, is for it.
    fn meet_host(
        &self,
        met: &mut Met,
        port: Option<u16>,
        level: Level,
        name: &str,
    ) -> Option<Rc<LocalHost>> {
        if let Some(known) = met.hosts(port)?.at(level).get(name) {
            return Some(Rc::clone(known));
        }
        let published = Arc::clone(&met.table);
        let table = match port {
            None => &published.table,
            Some(port) => published.table.port(port)?.hosts(),
        };
        let (host, routes) = table.find(level, name)?;
        let mut meet =
            |target: &Target, prefix: Option<&PathPrefix>| self.meet_target(met, target, prefix);
        let local = Rc::new(LocalHost {
            level,
            name: host.clone(),
            whole: routes.whole().map(|target| meet(target, None)),
            paths: routes
                .paths()
                .iter()
                .map(|route| meet(&route.target, Some(&route.prefix)))
                .collect(),
            routes: Arc::clone(routes),
        });
        let hosts = met.hosts(port)?.at(level);
        hosts.insert(host.clone(), Rc::clone(&local));
        Some(local)
    }

    fn meet_service(&self, met: &mut Met, service: &Arc<Service>) -> Rc<LocalService> {
        if let Some(known) = met.services.get(service) {
            return known;
        }
        let policy = &service.policy;
        let of_all = &self.settings;
        let local = Rc::new(LocalService {
            service: Arc::clone(service),
            tally: self.ledger.tally_of(&service.name),
            gate: met.gates.of(service, &self.shared),
            connect_timeout: policy.connect_timeout.unwrap_or(of_all.connect_timeout),
            first_byte_timeout: policy
                .first_byte_timeout
                .unwrap_or(of_all.first_byte_timeout),
            upstreams: service
                .upstreams
                .iter()
                .map(|upstream| self.meet(met, upstream))
                .collect(),
        });
        met.services.insert(&local);
        local
    }

    /// Where a port leads requests that are for no known host.
    fn otherwise(&self, met: &mut Met, port: u16) -> Option<Routed> {
        let known = met.port(port)?;
        let target = match &known.otherwise {
            Some(known) => known.clone(),
            None => {
                let routes = Arc::clone(&known.routes);
                let target = self.meet_target(met, routes.otherwise()?, None);
                met.port(port)?.otherwise = Some(target.clone());
                target
            }
        };
        Some(target.behind(|| LocalRoute::Otherwise { port }))
    }

    fn meet_target(
        &self,
        met: &mut Met,
        target: &Target,
        prefix: Option<&PathPrefix>,
    ) -> LocalTarget {
        match target {
            Target::Service(service) => LocalTarget::Service(self.meet_service(met, service)),
            Target::Redirect(redirect) => LocalTarget::Redirect(Rc::new(LocalRedirect {
                redirect: Arc::clone(redirect),
                tally: self.ledger.tally_of(target.name()),
                prefix: prefix.cloned(),
            })),
        }
    }

    fn meet(&self, met: &mut Met, upstream: &Upstream) -> Rc<LocalUpstream> {
        if let Some(known) = met.upstreams.get(upstream) {
            return Rc::clone(known);
        }
        let usage = self.ledger.usage_of(&upstream.id);
        let local = LocalUpstream::new(
            upstream.clone(),
            usage,
            Arc::clone(&self.shared),
            Rc::clone(&self.clock),
            self.settings.max_idle_per_upstream,
        );
        let local = Rc::new(local);
        met.upstreams.insert(upstream.clone(), Rc::clone(&local));
        local
    }

    /// Takes note of the newest table: lets go of upstreams that left it, then says so in the ledger.
    pub(crate) fn follow(&self) {
        let mut met = self.newest();
        let before = self.ledger.followed();
        self.ledger.follow(met.table.epoch);
        if met.table.last_removal > before {
            self.shared.announce_drained();
        }
        let Met {
            table, left, gates, ..
        } = &mut *met;
        let references = table.table.references();
        if !left.names.is_empty() {
            gates.keep(|name| references.holds_name(name));
        }
        // What is still in use is asked for again with the next table.
        left.upstreams
            .retain(|id| !references.holds_id(id) && !self.ledger.forget_usage(id));
        let remembered = self.shared.remembered.load();
        left.names.retain(|name| {
            let is_done = references.holds_name(name)
                || (!remembered.contains(name) && self.ledger.forget_tally(name));
            !is_done
        });
    }

    /// Closes connections that have been idle for too long; answers whether any are left.
    pub(crate) fn close_idle(&self, max_age: u32) -> bool {
        let mut any = false;
        for upstream in self.met.borrow().upstreams.values() {
            any |= upstream.close_idle(max_age);
        }
        any
    }
}
