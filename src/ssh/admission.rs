//! How many connections are let in: in all, from one address, and before their login.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Limits on connections.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// All connections together.
    pub total: usize,
    /// Connections that are not logged in (sshd's `MaxStartups` ends at 100 too).
    pub before_login: usize,
    /// Connections from one IPv4 address or one IPv6 /64 network.
    pub per_address: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            total: 512,
            before_login: 100,
            per_address: 32,
        }
    }
}

/// The gate all connections pass.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    total: Arc<Semaphore>,
    before_login: Arc<Semaphore>,
    per_address: usize,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// Room for one connection, given back when dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    _total: OwnedSemaphorePermit,
    before_login: Option<OwnedSemaphorePermit>,
    /// Given back with the rest; those of this machine have none.
    _place: Option<Place>,
}

/// One of the places of an address.
#[derive(Debug)]
struct Place {
    address: IpAddr,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Admission {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self {
            total: Arc::new(Semaphore::new(limits.total)),
            before_login: Arc::new(Semaphore::new(limits.before_login)),
            per_address: limits.per_address,
            by_address: Arc::default(),
        }
    }

    /// Room for a connection that the machine's own SSH server has let in, or which limit is reached.
    pub(super) fn admit_local(&self) -> Result<Admitted, &'static str> {
        let total = self.total.clone().try_acquire_owned();
        Ok(Admitted {
            _total: total.map_err(|_| "connections")?,
            before_login: None,
            _place: None,
        })
    }

    /// Room for a connection from `address`, or which limit is reached.
    pub(super) fn admit(&self, address: IpAddr) -> Result<Admitted, &'static str> {
        let total = self.total.clone().try_acquire_owned();
        let total = total.map_err(|_| "connections")?;
        let before_login = self.before_login.clone().try_acquire_owned();
        let before_login = before_login.map_err(|_| "connections before login")?;
        let address = network(address);
        let mut counts = self
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_insert(0);
        if *count >= self.per_address {
            return Err("connections from one address");
        }
        *count = count.saturating_add(1);
        Ok(Admitted {
            _total: total,
            before_login: Some(before_login),
            _place: Some(Place {
                address,
                by_address: self.by_address.clone(),
            }),
        })
    }
}

impl Admitted {
    /// The connection has logged in and no longer counts among those that have not.
    pub(super) fn logged_in(&mut self) {
        self.before_login = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// What counts as one address: a home or a server usually has a whole /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(bits.into())
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Admission {
        Admission::new(ConnectionLimits {
            total: 4,
            before_login: 3,
            per_address: 2,
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_cannot_take_all_the_room() {
        let gate = admission();
        let first = gate.admit(ip("2001:db8::1")).unwrap();
        let _second = gate.admit(ip("2001:db8::2")).unwrap();
        assert!(gate.admit(ip("2001:db8::3")).is_err());
        let _other = gate.admit(ip("192.0.2.1")).unwrap();
        drop(first);
        gate.admit(ip("2001:db8::3")).unwrap();
    }

    #[test]
    fn a_login_makes_room_for_the_next_one() {
        let gate = admission();
        let mut first = gate.admit(ip("192.0.2.1")).unwrap();
        let _second = gate.admit(ip("192.0.2.2")).unwrap();
        let _third = gate.admit(ip("::ffff:192.0.2.3")).unwrap();
        assert_eq!(
            gate.admit(ip("192.0.2.4")).unwrap_err(),
            "connections before login"
        );
        first.logged_in();
        let _fourth = gate.admit(ip("192.0.2.4")).unwrap();
        assert_eq!(gate.admit(ip("192.0.2.5")).unwrap_err(), "connections");
    }
}
