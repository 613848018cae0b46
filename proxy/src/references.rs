//! How often a table names each upstream and each app, kept as it changes, so that what left is known at once.

use crate::service::Upstream;
use crate::sharded::Sharded;
use crate::table::Target;
use std::net::SocketAddr;
use std::sync::Arc;

/// Counts of a table's references; two tables of equal routes have equal counts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct References {
    upstreams: Sharded<Arc<str>, Addresses>,
    names: Sharded<Arc<str>, usize>,
}

/// The addresses one id is reached at, with their counts. Nearly always one, which takes no memory of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Addresses {
    One((SocketAddr, usize)),
    /// In order, at least two.
    Many(Vec<(SocketAddr, usize)>),
}

impl Addresses {
    fn as_slice(&self) -> &[(SocketAddr, usize)] {
        match self {
            Addresses::One(one) => std::slice::from_ref(one),
            Addresses::Many(many) => many,
        }
    }

    fn of(addresses: Vec<(SocketAddr, usize)>) -> Option<Addresses> {
        match addresses.as_slice() {
            [] => None,
            [one] => Some(Addresses::One(*one)),
            [_, _, ..] => Some(Addresses::Many(addresses)),
        }
    }

    fn holds(&self, address: SocketAddr) -> bool {
        self.as_slice().iter().any(|(other, _)| *other == address)
    }
}

impl References {
    pub(crate) fn add(&mut self, target: &Target) {
        self.count(target, |count| count + 1);
    }

    pub(crate) fn remove(&mut self, target: &Target) {
        self.count(target, |count| count.saturating_sub(1));
    }

    fn count(&mut self, target: &Target, change: impl Fn(usize) -> usize) {
        let name = target.name();
        let (name, count) = match self.names.get_key_value(name) {
            Some((name, count)) => (Arc::clone(name), *count),
            None => (Arc::from(name), 0),
        };
        match change(count) {
            0 => self.names.remove(&name),
            count => self.names.insert(name, count),
        };
        for Upstream { id, address } in upstreams(target) {
            let known = self.upstreams.get(id).map(Addresses::as_slice);
            let mut addresses = known.unwrap_or_default().to_vec();
            let at = addresses.binary_search_by_key(address, |(address, _)| *address);
            let at = at.unwrap_or_else(|at| {
                addresses.insert(at, (*address, 0));
                at
            });
            if let Some((_, count)) = addresses.get_mut(at) {
                *count = change(*count);
            }
            addresses.retain(|(_, count)| *count > 0);
            match Addresses::of(addresses) {
                None => self.upstreams.remove(id),
                Some(addresses) => self.upstreams.insert(Arc::clone(id), addresses),
            };
        }
    }

    /// Whether any service has an upstream of this id.
    pub(crate) fn holds_id(&self, id: &str) -> bool {
        self.upstreams.get(id).is_some()
    }

    /// Whether anything of the table is of this name.
    pub(crate) fn holds_name(&self, name: &str) -> bool {
        self.names.get(name).is_some()
    }

    pub(crate) fn upstream_ids(&self) -> impl Iterator<Item = &str> {
        self.upstreams.iter().map(|(id, _)| id.as_ref())
    }

    /// The upstreams of `old` that are not here any more.
    pub(crate) fn upstreams_gone_since<'a>(
        &'a self,
        old: &'a References,
    ) -> impl Iterator<Item = (&'a Arc<str>, SocketAddr)> {
        let changed = self.upstreams.changed_since(&old.upstreams);
        changed.flat_map(|(id, before, now)| {
            let is_gone = move |address: &SocketAddr| !now.is_some_and(|now| now.holds(*address));
            let addresses = before.as_slice().iter().map(|(address, _)| *address);
            addresses.filter(is_gone).map(move |address| (id, address))
        })
    }

    /// Whether an id of `old` is not here any more.
    pub(crate) fn lacks_id_of(&self, old: &References) -> bool {
        let mut changed = self.upstreams.changed_since(&old.upstreams);
        changed.any(|(_, _, now)| now.is_none())
    }

    pub(crate) fn share_with(&mut self, old: &References) {
        self.upstreams.share_with(&old.upstreams);
        self.names.share_with(&old.names);
    }
}

fn upstreams(target: &Target) -> &[Upstream] {
    match target {
        Target::Service(service) => &service.upstreams,
        Target::Redirect(_) => &[],
    }
}
