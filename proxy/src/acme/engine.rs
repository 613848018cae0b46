//! The loop that looks, decides and carries out, until it is stopped.

use super::backoff::next_try;
use super::client::{AuthorityClient, ClientError};
use super::dns_hook::Removals;
use super::name::CertName;
use super::order::{OrderError, Ordering, identifier};
use super::plan::{Limits, Work, plan};
use super::settings::AcmeSettings;
use super::stage::Stage;
use super::store::{AcmeStore, FailedTry, Issued};
use super::world::{Advice, Draw, Window};
use crate::handle::ProxyHandle;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

/// How long one order may take, with both calls of a DNS hook.
const ORDER_LIMIT: Duration = Duration::from_secs(8 * 60);
/// For how long a name is claimed: beyond that its engine must have died.
const CLAIM: Duration = Duration::from_secs(9 * 60);
/// It is looked again at least this often: a clock may have been set.
const LOOK_AT_LEAST: Duration = Duration::from_secs(60 * 60);
/// How long to wait when the store fails.
const STORE_PAUSE: Duration = Duration::from_secs(60);
/// Within these bounds an authority is heard when it says when to ask again about a renewal (RFC 9773
/// section 4.3.2); when it cannot be asked, it is after the default given there.
const ASK_AT_MOST: Duration = Duration::from_secs(60);
const ASK_AT_LEAST: Duration = Duration::from_secs(24 * 60 * 60);
const ASK_DEFAULT: Duration = Duration::from_secs(6 * 60 * 60);

/// The engine, running.
///
/// Dropped without [`Acme::stop`] it stops as well; nobody waits for it then.
#[derive(Debug)]
pub struct Acme {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Acme {
    /// Begins to look after certificates, and looks again whenever `wake` is notified: a name may have come, a
    /// certificate gone. Needs a tokio runtime.
    pub fn start<S: AcmeStore>(
        settings: AcmeSettings,
        store: Arc<S>,
        proxy: ProxyHandle,
        wake: Arc<Notify>,
    ) -> Result<Acme, ClientError> {
        let (stop, stopped) = watch::channel(false);
        let client = AuthorityClient::new(&settings.authority)?;
        let mut limits = settings.limits.clone();
        limits.wildcards = settings.dns_hook.is_some();
        let engine = Engine {
            client,
            limits,
            settings,
            store,
            stage: Stage::new(proxy),
            removals: Arc::default(),
            stopped,
        };
        let task = tokio::spawn(Arc::new(engine).run(wake));
        Ok(Acme { stop, task })
    }

    /// Gives up what is under way, takes back all challenges, and ends. Takes no longer than a DNS hook.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the engine for certificates had failed");
        }
    }
}

struct Engine<S> {
    settings: AcmeSettings,
    limits: Limits,
    client: AuthorityClient,
    store: Arc<S>,
    stage: Arc<Stage>,
    removals: Arc<Removals>,
    stopped: watch::Receiver<bool>,
}

impl<S: AcmeStore> Engine<S> {
    async fn run(self: Arc<Self>, wake: Arc<Notify>) {
        let mut under_way = JoinSet::new();
        let mut names = HashMap::new();
        while !*self.stopped.borrow() {
            let busy: HashSet<CertName> = names.values().cloned().collect();
            let pause = match self.store.world().await {
                Ok(world) => {
                    let now = SystemTime::now();
                    let plan = plan(&world, &busy, &self.limits, now);
                    for work in plan.work {
                        let name = work.name().clone();
                        let task = under_way.spawn(Arc::clone(&self).carry_out(work));
                        names.insert(task.id(), name);
                    }
                    let until = plan.look_again.and_then(|at| at.duration_since(now).ok());
                    until.map_or(LOOK_AT_LEAST, |until| until.min(LOOK_AT_LEAST))
                }
                Err(error) => {
                    tracing::error!(
                        error = super::told(&error),
                        "cannot read what certificates are wanted"
                    );
                    STORE_PAUSE
                }
            };
            let stopped = async {
                let mut stopped = self.stopped.clone();
                let _ = stopped.wait_for(|stopped| *stopped).await;
            };
            tokio::select! {
                () = stopped => {}
                () = wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
                Some(ended) = under_way.join_next_with_id() => {
                    let id = match &ended {
                        Ok((id, ())) => *id,
                        Err(error) => error.id(),
                    };
                    let name = names.remove(&id);
                    if let (Err(error), Some(name)) = (ended, name) {
                        tracing::error!(%error, %name, "work on a certificate had failed");
                    }
                }
            }
        }
        while under_way.join_next().await.is_some() {}
        self.removals.finish().await;
    }

    async fn carry_out(self: Arc<Self>, work: Work) {
        match work {
            Work::Order { name, .. } => self.order(&name).await,
            Work::Ask { id, known, .. } => self.ask(&id, known).await,
        }
    }

    /// Orders a certificate, if nobody else does or has.
    async fn order(&self, name: &CertName) {
        let now = SystemTime::now();
        match self.store.claim(name, now, now + CLAIM).await {
            Ok(true) => {}
            Ok(false) => {
                // The next look sees the claim. Not at once, in case it does not.
                tokio::time::sleep(Duration::from_secs(1)).await;
                return;
            }
            Err(error) => {
                tracing::error!(error = super::told(&error), %name, "cannot claim a name for an order");
                tokio::time::sleep(STORE_PAUSE).await;
                return;
            }
        }
        let Some((replaces, failures)) = self.still_due(name).await else {
            self.release(name).await;
            return;
        };
        let client = self.client.fresh();
        let ordering = Ordering {
            settings: &self.settings,
            client: &client,
            store: self.store.as_ref(),
            stage: &self.stage,
            removals: &self.removals,
            name,
            replaces: replaces.as_deref(),
            failures,
        };
        let mut stopped = self.stopped.clone();
        let outcome = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => None,
            outcome = tokio::time::timeout(ORDER_LIMIT, ordering.run()) => Some(outcome),
        };
        match outcome {
            None => self.release(name).await,
            Some(Ok(Ok(issued))) => self.keep(name, &issued).await,
            Some(Ok(Err(error))) => self.record(name, failures, &client, &error).await,
            Some(Err(_)) => {
                let error = OrderError::TooSlow(ORDER_LIMIT);
                self.record(name, failures, &client, &error).await;
            }
        }
    }

    /// Looks once more, now that the name is claimed: another engine may have got it a certificate meanwhile.
    /// Answers what the order replaces, and how often it failed so far.
    async fn still_due(&self, name: &CertName) -> Option<(Option<String>, u32)> {
        let mut world = self.store.world().await.ok()?;
        world.claims.remove(name);
        let limits = Limits {
            at_once: usize::MAX,
            ..self.limits.clone()
        };
        let plan = plan(&world, &HashSet::new(), &limits, SystemTime::now());
        let failures = world.tries.get(name).map_or(0, |tries| tries.failures);
        plan.work.into_iter().find_map(|work| match work {
            Work::Order { name: of, replaces } if of == *name => Some((replaces, failures)),
            Work::Order { .. } | Work::Ask { .. } => None,
        })
    }

    async fn keep(&self, name: &CertName, issued: &Issued) {
        // It has cost an order: it is not given up for a database that was busy a moment.
        for _ in 0..3 {
            match self.store.issued(name, issued).await {
                Ok(()) => {
                    let not_after = issued.certificate.not_after();
                    tracing::info!(%name, until = %httpdate::fmt_http_date(not_after), "a certificate was issued");
                    return;
                }
                Err(error) => {
                    tracing::error!(error = super::told(&error), %name, "cannot keep a certificate");
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn record(
        &self,
        name: &CertName,
        failures: u32,
        client: &AuthorityClient,
        error: &OrderError,
    ) {
        let failures = failures.saturating_add(1);
        let now = SystemTime::now();
        let mut bits = [0; 8];
        let _ = aws_lc_rs::rand::fill(&mut bits);
        let draw = Draw::from_bits(u64::from_ne_bytes(bits));
        let failed = FailedTry {
            at: now,
            reason: error.to_string(),
            failures,
            next_try: next_try(now, failures, error.failure(), client.asked_to_wait(), draw),
        };
        tracing::warn!(
            %name,
            failures,
            reason = super::told(error),
            next_try = %httpdate::fmt_http_date(failed.next_try),
            "no certificate could be had; one that is there stays in use"
        );
        if let Err(error) = self.store.failed(name, &failed).await {
            tracing::error!(error = super::told(&error), %name, "cannot keep the record of a failed order");
        }
    }

    async fn release(&self, name: &CertName) {
        if let Err(error) = self.store.release(name).await {
            tracing::error!(error = super::told(&error), %name, "cannot release a name");
        }
    }

    /// Asks when a certificate should be renewed.
    async fn ask(&self, id: &str, known: Option<Window>) {
        let mut stopped = self.stopped.clone();
        let answer = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            answer = self.advice(id) => answer,
        };
        let (window, pause) = match answer {
            Ok(Some((window, pause))) => (Some(window), pause.clamp(ASK_AT_MOST, ASK_AT_LEAST)),
            Ok(None) => (None, ASK_AT_LEAST),
            Err(error) => {
                tracing::warn!(
                    reason = super::told(&error),
                    "cannot ask when to renew a certificate"
                );
                (known, ASK_DEFAULT)
            }
        };
        let ask_again = SystemTime::now() + pause;
        let advice = Advice { window, ask_again };
        if let Err(error) = self.store.advised(id, advice).await {
            tracing::error!(
                error = super::told(&error),
                "cannot keep when to renew a certificate"
            );
            tokio::time::sleep(STORE_PAUSE).await;
        }
    }

    /// `None` from an authority that gives no such advice.
    async fn advice(&self, id: &str) -> Result<Option<(Window, Duration)>, OrderError> {
        let client = self.client.fresh();
        let authority = &self.settings.authority;
        let account = super::account::open(authority, &client, self.store.as_ref()).await?;
        let Some(id) = identifier(id) else {
            return Ok(None);
        };
        match account.renewal_info(&id).await {
            Ok((info, pause)) => {
                let window = Window {
                    start: info.suggested_window.start.into(),
                    end: info.suggested_window.end.into(),
                };
                Ok(Some((window, pause)))
            }
            Err(instant_acme::Error::Unsupported(_)) => Ok(None),
            Err(error) => Err(OrderError::Account(error)),
        }
    }
}
