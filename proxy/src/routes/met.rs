//! What one thread has met of the table: hosts, ports, services and upstreams, until a newer table lets go of them.

use super::{LocalHost, LocalService, LocalTarget};
use crate::gate::Gates;
use crate::handle::Published;
use crate::host::Host;
use crate::pool::LocalUpstream;
use crate::port_routes::PortRoutes;
use crate::service::{Service, Upstream};
use crate::table::{Level, RouteTable, Target};
use std::collections::{HashMap, HashSet};
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// What one thread has met of the table it follows. Names that no route has leave nothing here.
#[derive(Debug, Default)]
pub(super) struct Met {
    pub(super) table: Arc<Published>,
    hosts: MetHosts,
    /// Of the ports that were opened beside the listeners.
    ports: HashMap<u16, MetPort>,
    pub(super) services: Services,
    pub(super) gates: Gates,
    pub(super) upstreams: HashMap<Upstream, Rc<LocalUpstream>>,
    /// Ids of upstreams and names of services that left and whose counts the ledger may still have.
    pub(super) left: Left,
}

/// Services that were met, by where they lie: all routes to one share it. One that is not there any more has left its
/// place alone, which the next at the same address takes.
#[derive(Debug, Default)]
pub(super) struct Services {
    met: HashMap<*const Service, Weak<LocalService>>,
    /// How many there may be before those that are not there any more are looked for.
    bound: usize,
}

impl Services {
    pub(super) fn get(&self, service: &Arc<Service>) -> Option<Rc<LocalService>> {
        // As long as a local one lives, it holds its service, and no other can lie there.
        self.met.get(&Arc::as_ptr(service))?.upgrade()
    }

    pub(super) fn insert(&mut self, local: &Rc<LocalService>) {
        if self.met.len() >= self.bound {
            self.met.retain(|_, local| local.strong_count() > 0);
            self.bound = (2 * self.met.len()).max(64);
        }
        let place = Arc::as_ptr(&local.service);
        self.met.insert(place, Rc::downgrade(local));
    }
}

/// The hosts met, by their names.
#[derive(Debug, Default)]
pub(super) struct MetHosts {
    exact: HashMap<Host, Rc<LocalHost>>,
    wildcard: HashMap<Host, Rc<LocalHost>>,
}

/// A port of its own as one thread sees it. Met anew as a whole when any of its routes changes: it has few.
#[derive(Debug)]
pub(super) struct MetPort {
    pub(super) routes: Arc<PortRoutes>,
    hosts: MetHosts,
    pub(super) otherwise: Option<LocalTarget>,
}

impl MetHosts {
    pub(super) fn at(&mut self, level: Level) -> &mut HashMap<Host, Rc<LocalHost>> {
        match level {
            Level::Exact => &mut self.exact,
            Level::Wildcard => &mut self.wildcard,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) upstreams: HashSet<Arc<str>>,
    pub(super) names: HashSet<Box<str>>,
}

impl Met {
    /// Lets go of what is not in the newest table any more. Costs as much as has changed.
    pub(super) fn advance(&mut self, newest: &Arc<Published>) {
        if self.table.epoch == newest.epoch {
            return;
        }
        let before = std::mem::replace(&mut self.table, Arc::clone(newest));
        let (old, new) = (&before.table, &newest.table);
        for (level, host, routes) in new.changed_since(old) {
            self.hosts.at(level).remove(host);
            self.left.note(routes.targets(), new);
        }
        let left = &mut self.left;
        self.ports.retain(|port, met| {
            let is_same = new
                .port(*port)
                .is_some_and(|now| Arc::ptr_eq(now, &met.routes));
            if !is_same {
                left.note(met.routes.targets(), new);
            }
            is_same
        });
        for (id, address) in new.references().upstreams_gone_since(old.references()) {
            let id = Arc::clone(id);
            self.left.upstreams.insert(Arc::clone(&id));
            if let Some(local) = self.upstreams.remove(&Upstream { id, address }) {
                local.retire();
            }
        }
    }

    /// The hosts met of the listeners themselves, or of a port, if it has routes.
    pub(super) fn hosts(&mut self, port: Option<u16>) -> Option<&mut MetHosts> {
        match port {
            None => Some(&mut self.hosts),
            Some(port) => self.port(port).map(|met| &mut met.hosts),
        }
    }

    pub(super) fn port(&mut self, port: u16) -> Option<&mut MetPort> {
        let routes = self.table.table.port(port)?;
        let met = self.ports.entry(port).or_insert_with(|| MetPort {
            routes: Arc::clone(routes),
            hosts: MetHosts::default(),
            otherwise: None,
        });
        Some(met)
    }
}

impl Left {
    /// Takes note of the names among `targets` that are not in the newest table.
    fn note<'a>(&mut self, targets: impl Iterator<Item = &'a Target>, newest: &RouteTable) {
        let names = targets.map(Target::name);
        let gone = names.filter(|name| !newest.references().holds_name(name));
        self.names.extend(gone.map(Box::from));
    }
}
