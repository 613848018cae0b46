//! What a request must pass before it is forwarded, as the policy of its service has it: who asks, how often, whether
//! the app is open at all, with which password, and how much it brings.
//!
//! The order: addresses, rate, maintenance, password, size, requests in flight. What is cheap and keeps others out
//! comes first, and a password is asked for only where it would open something.

mod credentials;
mod crowd;
mod in_flight;
mod network;
mod password;
mod rate;

pub use network::Network;
pub use password::{BasicAuth, PasswordError, PasswordHash};
pub use rate::Rate;

pub(crate) use crowd::{Crowd, Visit};
pub(crate) use in_flight::{AllInFlight, InFlight};
pub(crate) use network::any_contains;
pub(crate) use password::{GUESSES, Guards, Verification};
pub(crate) use rate::Rates;

use crate::client::Visitor;
use crate::fault::Fault;
use crate::handle::Shared;
use crate::policy::Policy;
use crate::received::Received;
use crate::service::Service;
use credentials::Credentials;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use http_body::Body as _;
use in_flight::Counted;
use password::Known;
use rate::Limit;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The checks of one service, as one thread carries them out.
#[derive(Debug)]
pub(crate) struct Gate {
    policy: Arc<Policy>,
    service: String,
    shared: Arc<Shared>,
    limit: Option<Limit>,
    counted: Option<Arc<Counted>>,
    known: Known,
}

/// A request that may pass.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    /// To be kept until its answer is over.
    pub(crate) in_flight: Option<InFlight>,
    /// Whose password it came with.
    pub(crate) user: Option<HeaderValue>,
}

/// A request that may not pass, or not yet.
#[derive(Debug)]
pub(crate) enum Held {
    /// It gets a page.
    Refused(Refusal),
    /// Its password has to be looked at, which takes a while.
    Unverified(Verification),
}

/// Why a request may not pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    pub(crate) fault: Fault,
    /// When to come again.
    pub(crate) retry_after: Option<Duration>,
}

impl From<Fault> for Held {
    fn from(fault: Fault) -> Held {
        Held::Refused(Refusal::from(fault))
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        Refusal {
            fault,
            retry_after: None,
        }
    }
}

/// The gates one thread has built. One whose policy has not changed stays when the table changes, and so does what it
/// remembers.
#[derive(Debug, Default)]
pub(crate) struct Gates(HashMap<String, Rc<Gate>>);

impl Gates {
    /// The gate of a service, if it has one.
    pub(crate) fn of(&mut self, service: &Service, shared: &Arc<Shared>) -> Option<Rc<Gate>> {
        if let Some(known) = self.0.get(&service.name)
            && known.policy == service.policy
        {
            return Some(Rc::clone(known));
        }
        match Gate::of(service, shared) {
            Some(gate) => {
                let gate = Rc::new(gate);
                self.0.insert(service.name.clone(), Rc::clone(&gate));
                Some(gate)
            }
            None => {
                self.0.remove(&service.name);
                None
            }
        }
    }

    /// Forgets those of services that `known` denies.
    pub(crate) fn keep(&mut self, known: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| known(name));
    }
}

impl Gate {
    /// `None` for a service whose policy asks for no check: its requests pay one branch.
    fn of(service: &Service, shared: &Arc<Shared>) -> Option<Gate> {
        let policy = &service.policy;
        let asks = policy.max_body_bytes.is_some()
            || policy.maintenance.is_some()
            || policy.auth.is_some()
            || policy.rate.is_some()
            || policy.max_in_flight.is_some()
            || !policy.allow.is_empty()
            || !policy.deny.is_empty();
        asks.then(|| Gate {
            policy: Arc::clone(policy),
            service: service.name.clone(),
            shared: Arc::clone(shared),
            limit: policy.rate.map(Limit::new),
            counted: policy
                .max_in_flight
                .map(|_| shared.in_flight.of(&service.name)),
            known: Known::default(),
        })
    }

    /// Whether a request may pass. Takes the credentials out that were for us. One that comes again after its password
    /// was looked at is not counted twice.
    pub(crate) fn admit(
        &self,
        visitor: &Visitor,
        request: &mut Request<Received>,
        is_again: bool,
    ) -> Result<Admitted, Held> {
        let policy = &*self.policy;
        if !policy.lets_in(visitor.ip) {
            return Err(Fault::AddressDenied.into());
        }
        if let Some(limit) = &self.limit
            && !is_again
        {
            self.shared
                .rates()
                .take((&self.service, "rate"), visitor.ip, limit)
                .map_err(|wait| {
                    Held::Refused(Refusal {
                        fault: Fault::RateExceeded,
                        retry_after: Some(wait),
                    })
                })?;
        }
        if let Some(maintenance) = &policy.maintenance
            && !maintenance.lets_in(visitor.ip)
        {
            return Err(Held::Refused(Refusal {
                fault: Fault::Maintenance,
                retry_after: Some(maintenance.retry_after),
            }));
        }
        let user = match &policy.auth {
            Some(auth) => Some(self.identify(auth, visitor.ip, request)?),
            None => None,
        };
        if request.body().size_hint().lower() > self.body_limit() {
            return Err(Fault::BodyTooLarge.into());
        }
        let in_flight = match (&self.counted, policy.max_in_flight) {
            (Some(counted), Some(most)) => {
                let begun = InFlight::begin(counted, most);
                Some(begun.ok_or(Held::Refused(Refusal {
                    fault: Fault::TooManyRequests,
                    retry_after: Some(Duration::from_secs(1)),
                }))?)
            }
            _ => None,
        };
        Ok(Admitted { in_flight, user })
    }

    /// How many bytes the body of a request may have.
    pub(crate) fn body_limit(&self) -> u64 {
        self.policy.max_body_bytes.unwrap_or(u64::MAX)
    }

    /// The user a request comes from.
    fn identify(
        &self,
        auth: &Arc<BasicAuth>,
        ip: IpAddr,
        request: &mut Request<Received>,
    ) -> Result<HeaderValue, Held> {
        let headers = request.headers_mut();
        let given = headers.get(AUTHORIZATION).ok_or(Fault::PasswordWanted)?;
        let key = self.known.key_of(given.as_bytes());
        if let Some(user) = self.known.user(key) {
            headers.remove(AUTHORIZATION);
            return Ok(user);
        }
        let credentials = Credentials::read(given.as_bytes()).ok_or(Fault::PasswordWanted)?;
        // Guesses are few: looking at each takes long, and that is the point of it.
        let wait = self
            .shared
            .rates()
            .left((&self.service, "guesses"), ip, &GUESSES);
        if let Err(wait) = wait {
            return Err(Held::Refused(Refusal {
                fault: Fault::GuessesExceeded,
                retry_after: Some(wait),
            }));
        }
        Err(Held::Unverified(Verification {
            auth: Arc::clone(auth),
            credentials,
            key,
        }))
    }

    /// Looks at a password off this thread; answers whether it is right, and remembers it then.
    pub(crate) async fn verify(
        &self,
        verification: Verification,
        ip: IpAddr,
    ) -> Result<(), Refusal> {
        let guards = &self.shared.guards;
        let Some(_turn) = guards.turn().await else {
            return Err(Refusal {
                fault: Fault::GuardsBusy,
                retry_after: Some(Duration::from_secs(1)),
            });
        };
        // Browsers send many requests at once: the first of them may have settled it meanwhile.
        if self.known.user(verification.key).is_some() {
            return Ok(());
        }
        let key = verification.key;
        match verification.run().await {
            Some(user) => {
                self.known.remember(key, user);
                Ok(())
            }
            None => {
                let place = (self.service.as_str(), "guesses");
                let _ = self.shared.rates().take(place, ip, &GUESSES);
                Err(Fault::PasswordWanted.into())
            }
        }
    }
}
