//! A store in memory, and what tests ask it.

use mini_proxy::acme::{
    AcmeStore, Advice, CertName, FailedTry, Held, Issued, KeptAccount, Origin, Tries, World,
    certificate_id,
};
use mini_proxy::{Certificates, ProxyHandle};
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};
use tokio::sync::{Notify, watch};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(90);

/// Keeps all in memory, and shows new certificates through a proxy.
pub(crate) struct Memory {
    proxy: ProxyHandle,
    /// Makes the engine look again.
    pub(crate) wake: Arc<Notify>,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) wanted: Vec<CertName>,
    pub(crate) held: HashMap<CertName, Held>,
    pub(crate) issued: Vec<(CertName, Issued)>,
    pub(crate) failed: HashMap<CertName, FailedTry>,
    pub(crate) claims: HashMap<CertName, SystemTime>,
    pub(crate) placed: Vec<(CertName, SystemTime)>,
    pub(crate) accounts: HashMap<String, KeptAccount>,
    pub(crate) accounts_made: usize,
    shown: Certificates,
}

impl Memory {
    pub(crate) fn new(proxy: ProxyHandle, wanted: &[&str]) -> Arc<Memory> {
        let state = State {
            wanted: wanted.iter().map(|name| name.parse().unwrap()).collect(),
            ..State::default()
        };
        Arc::new(Memory {
            proxy,
            wake: Arc::default(),
            state: Mutex::new(state),
            changes: watch::Sender::default(),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Waits until the state is as described, and answers what the description does.
    pub(crate) async fn until<T>(&self, what: &str, holds: impl Fn(&State) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        let waiting = async {
            loop {
                if let Some(found) = holds(&self.state()) {
                    return found;
                }
                changes.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(found) => found,
            Err(_) => panic!(
                "gave up waiting: {what}; failures: {:?}",
                self.state().failed
            ),
        }
    }

    /// Waits until a name has been issued this many certificates; answers the last.
    pub(crate) async fn until_issued(&self, name: &str, times: usize) -> Issued {
        self.until(&format!("certificate {times} of {name}"), |state| {
            let of_name = state.issued.iter().filter(|(of, _)| of.as_str() == name);
            let issued: Vec<&Issued> = of_name.map(|(_, issued)| issued).collect();
            (issued.len() >= times).then(|| issued.last().map(|last| (*last).clone()))?
        })
        .await
    }

    /// Waits until a name has failed; answers how.
    pub(crate) async fn until_failed(&self, name: &str) -> FailedTry {
        self.until(&format!("failure of {name}"), |state| {
            state.failed.get(&name.parse().unwrap()).cloned()
        })
        .await
    }

    /// Lets the next try of a name be due now.
    pub(crate) fn hurry(&self, name: &str) {
        if let Some(failed) = self.state().failed.get_mut(&name.parse().unwrap()) {
            failed.next_try = SystemTime::now();
        }
    }

    /// A certificate that was ordered so long ago, of a life of 90 days.
    pub(crate) fn hold(&self, name: &str, age: Duration, id: Option<String>) {
        let not_before = SystemTime::now() - age;
        let held = Held {
            names: vec![name.parse().unwrap()],
            not_before,
            not_after: not_before + Duration::from_secs(90 * 24 * 60 * 60),
            origin: Origin::Ordered { id, advice: None },
        };
        self.state().held.insert(name.parse().unwrap(), held);
    }
}

impl AcmeStore for Memory {
    type Error = Infallible;

    async fn world(&self) -> Result<World, Infallible> {
        let state = self.state();
        let tries = state.failed.iter().map(|(name, failed)| {
            let tries = Tries {
                failures: failed.failures,
                next_try: failed.next_try,
            };
            (name.clone(), tries)
        });
        Ok(World {
            wanted: state.wanted.clone(),
            alone: HashSet::new(),
            shared: HashSet::new(),
            held: state.held.values().cloned().collect(),
            tries: tries.collect(),
            claims: state.claims.clone(),
            orders: state.placed.iter().map(|(_, at)| *at).collect(),
        })
    }

    async fn claim(
        &self,
        name: &CertName,
        now: SystemTime,
        until: SystemTime,
    ) -> Result<bool, Infallible> {
        let mut state = self.state();
        let free = state.claims.get(name).is_none_or(|until| *until <= now);
        if free {
            state.claims.insert(name.clone(), until);
        }
        Ok(free)
    }

    async fn release(&self, name: &CertName) -> Result<(), Infallible> {
        self.state().claims.remove(name);
        self.changed();
        Ok(())
    }

    async fn placing(&self, name: &CertName, at: SystemTime) -> Result<(), Infallible> {
        self.state().placed.push((name.clone(), at));
        self.changed();
        Ok(())
    }

    async fn issued(&self, name: &CertName, issued: &Issued) -> Result<(), Infallible> {
        let held = Held {
            names: vec![name.clone()],
            not_before: issued.certificate.not_before(),
            not_after: issued.certificate.not_after(),
            origin: Origin::Ordered {
                id: certificate_id(&issued.certificate),
                advice: None,
            },
        };
        let mut state = self.state();
        state.held.insert(name.clone(), held);
        state.failed.remove(name);
        state.claims.remove(name);
        state.issued.push((name.clone(), issued.clone()));
        let certificate = Arc::new(issued.certificate.clone());
        state.shown.insert(name.as_str(), certificate);
        self.proxy.set_certificates(state.shown.clone());
        drop(state);
        self.changed();
        Ok(())
    }

    async fn failed(&self, name: &CertName, failed: &FailedTry) -> Result<(), Infallible> {
        let mut state = self.state();
        state.failed.insert(name.clone(), failed.clone());
        state.claims.remove(name);
        drop(state);
        self.changed();
        Ok(())
    }

    async fn advised(&self, id: &str, told: Advice) -> Result<(), Infallible> {
        for held in self.state().held.values_mut() {
            if let Origin::Ordered {
                id: Some(of),
                advice,
            } = &mut held.origin
                && of == id
            {
                *advice = Some(told);
            }
        }
        self.changed();
        Ok(())
    }

    async fn account(&self, directory: &str) -> Result<Option<KeptAccount>, Infallible> {
        Ok(self.state().accounts.get(directory).cloned())
    }

    async fn keep_account(
        &self,
        directory: &str,
        account: Option<&KeptAccount>,
    ) -> Result<(), Infallible> {
        let mut state = self.state();
        match account {
            Some(account) => {
                state.accounts_made += 1;
                state.accounts.insert(directory.to_owned(), account.clone())
            }
            None => state.accounts.remove(directory),
        };
        Ok(())
    }
}
