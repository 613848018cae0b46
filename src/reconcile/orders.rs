//! Which certificates are wanted from an authority, and where the engine of the proxy keeps what it needs: the store.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use mini_proxy::acme::{
    AcmeStore, Advice, CertName, FailedTry, Held, Issued, KeptAccount, Origin, Tries, Window,
    World, certificate_id,
};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::Reconciler;
use super::addresses::names_of;
use super::certificates::Shelf;
use super::plan::Rules;
use crate::model::{
    AppId, AuthorityAccount, CertificateId, CertificateOrigin, FailedOrder, NewCertificate,
    RenewalAdvice, Secret, Timestamp,
};
use crate::store::{Desired, OrderBook, Store, StoreError};

/// What the engine that orders certificates asks and keeps.
///
/// Wanted is a certificate for every host name of every app that an authority can certify and no certificate of the
/// owner's own covers, unless that was turned off for the app; and, where wildcards can be had, one for each domain of the
/// server that has such a name below it, which then serves instead of one for each app.
pub struct Orders {
    store: Store,
    reconciler: Reconciler,
    shelf: Mutex<Shelf>,
}

impl Orders {
    /// Works on a store that is this server's alone: claims that are there are of an earlier one, and are given up.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn open(store: Store, reconciler: Reconciler) -> Result<Orders, StoreError> {
        store.release_all_orders().await?;
        Ok(Orders {
            store,
            reconciler,
            shelf: Mutex::default(),
        })
    }

    /// The order book, with the names wanted by app and all certificates read.
    async fn look(&self) -> Result<Look, StoreError> {
        let book = self.store.order_book().await?;
        let desired = Arc::clone(&book.desired);
        let mut shelf = self.shelf.lock().await;
        shelf.follow(&self.store, &desired).await?;
        let kept = desired.certificates.iter();
        let kept = kept.filter_map(|(app, id, origin)| {
            let certificate = Arc::clone(shelf.get(*id)?);
            Some(Kept {
                app: *app,
                id: *id,
                origin: *origin,
                certificate,
            })
        });
        Ok(Look {
            kept: kept.collect(),
            wanted: wanted(&desired, self.reconciler.rules()),
            book,
        })
    }
}

/// A certificate that can be used.
struct Kept {
    /// Its owner, `None` for the server.
    app: Option<AppId>,
    id: CertificateId,
    origin: CertificateOrigin,
    certificate: Arc<mini_proxy::Certificate>,
}

/// What there is at one moment.
struct Look {
    book: OrderBook,
    kept: Vec<Kept>,
    /// With the owner, `None` for the server.
    wanted: Vec<(CertName, Option<AppId>)>,
}

/// The names an authority can certify, each with its owner: wildcards of the server first, then the names of apps.
fn wanted(desired: &Desired, rules: &Rules) -> Vec<(CertName, Option<AppId>)> {
    let mut names: Vec<(CertName, Option<AppId>)> = Vec::new();
    let mut seen = HashSet::new();
    let apps = desired.apps.iter();
    for app in apps.filter(|app| desired.automatic.is_on(app.id)) {
        for host in names_of(desired, app, rules) {
            let name: Option<CertName> = host.as_str().parse().ok();
            if let Some(name) = name.filter(|name| seen.insert(name.clone())) {
                names.push((name, Some(app.id)));
            }
        }
    }
    let mut wanted: Vec<(CertName, Option<AppId>)> = Vec::new();
    if rules.has_wildcards {
        for base in rules.base_domains.iter().chain(&desired.global_domains) {
            let wildcard: Option<CertName> = format!("*.{base}").parse().ok();
            let Some(wildcard) = wildcard else { continue };
            let is_needed = names.iter().any(|(name, _)| wildcard.covers(name));
            if is_needed && !wanted.iter().any(|(known, _)| *known == wildcard) {
                // An app that has it for a domain is served by it as well.
                names.retain(|(name, _)| *name != wildcard);
                wanted.push((wildcard, None));
            }
        }
    }
    wanted.append(&mut names);
    wanted
}

impl Look {
    fn world(self) -> World {
        let known: HashSet<&CertName> = self.wanted.iter().map(|(name, _)| name).collect();
        let wildcards: Vec<(&CertName, AppId)> = self
            .wanted
            .iter()
            .filter(|(name, _)| name.is_wildcard())
            .filter_map(|(name, app)| Some((name, (*app)?)))
            .collect();
        // A certificate of an app serves that app only, so another app's wildcard is no help.
        let is_alone = |(name, app): &&(CertName, Option<AppId>)| {
            let mut above = wildcards
                .iter()
                .filter(|(wildcard, _)| wildcard.covers(name));
            above.any(|(_, owner)| Some(*owner) != *app)
        };
        let alone = self.wanted.iter().filter(is_alone);
        let alone = alone.map(|(name, _)| name.clone()).collect();
        let mut names_of: HashMap<Option<AppId>, Vec<&CertName>> = HashMap::new();
        for (name, app) in &self.wanted {
            names_of.entry(*app).or_default().push(name);
        }
        let all: Vec<&CertName> = self.wanted.iter().map(|(name, _)| name).collect();
        let held = self.kept.iter().filter_map(|kept| {
            let own = kept.app.and_then(|app| names_of.get(&Some(app)));
            let names = match kept.app {
                Some(_) => own.map_or(&[][..], Vec::as_slice),
                None => &all,
            };
            held(kept, names, &self.book)
        });
        let held = held.collect();
        let shared = self.wanted.iter().filter(|(_, app)| app.is_none());
        let shared = shared.map(|(name, _)| name.clone()).collect();
        let tries = self.book.failed.iter().filter_map(|failed| {
            let name: CertName = failed.name.parse().ok()?;
            let tries = Tries {
                failures: failed.failures,
                next_try: failed.next_try.into(),
            };
            known.contains(&name).then_some((name, tries))
        });
        let tries = tries.collect();
        let claims = self.book.claims.iter();
        let claims = claims.filter_map(|(name, until)| Some((name.parse().ok()?, (*until).into())));
        World {
            alone,
            shared,
            held,
            tries,
            claims: claims.collect(),
            orders: self.book.placed.iter().map(|at| (*at).into()).collect(),
            wanted: self.wanted.into_iter().map(|(name, _)| name).collect(),
        }
    }

    /// Names that failed and that nobody wants any more.
    fn unwanted(&self) -> Vec<String> {
        let wanted: HashSet<&str> = self.wanted.iter().map(|(name, _)| name.as_str()).collect();
        let failed = self.book.failed.iter().map(|failed| &failed.name);
        let unwanted = failed.filter(|name| !wanted.contains(name.as_str()));
        unwanted.cloned().collect()
    }
}

/// A certificate as the engine sees it: what it covers of its app's names. One that browsers warn of is as good as none.
fn held(kept: &Kept, names: &[&CertName], book: &OrderBook) -> Option<Held> {
    let covered = names.iter().copied();
    let covered = covered.filter(|name| kept.certificate.covers(name.as_str()));
    let (ordered, origin) = match kept.origin {
        CertificateOrigin::SelfSigned => return None,
        CertificateOrigin::Custom => (None, Origin::Given),
        CertificateOrigin::Acme => {
            let id = certificate_id(&kept.certificate);
            let advice = id.as_ref().and_then(|id| book.advice.get(id));
            let advice = advice.map(|advice| Advice {
                window: advice.window.map(|(start, end)| Window {
                    start: start.into(),
                    end: end.into(),
                }),
                ask_again: advice.ask_again.into(),
            });
            let first = kept.certificate.names().first();
            let ordered: Option<CertName> = first.and_then(|name| name.parse().ok());
            (ordered, Origin::Ordered { id, advice })
        }
    };
    // The name it was ordered for comes first.
    let mut covering: Vec<CertName> = ordered.into_iter().collect();
    for name in covered {
        if !covering.contains(name) {
            covering.push(name.clone());
        }
    }
    Some(Held {
        names: covering,
        not_before: kept.certificate.not_before(),
        not_after: kept.certificate.not_after(),
        origin,
    })
}

impl AcmeStore for Orders {
    type Error = StoreError;

    async fn world(&self) -> Result<World, StoreError> {
        let look = self.look().await?;
        let unwanted = look.unwanted();
        if !unwanted.is_empty() {
            self.store.forget_orders(unwanted).await?;
        }
        Ok(look.world())
    }

    async fn claim(
        &self,
        name: &CertName,
        now: SystemTime,
        until: SystemTime,
    ) -> Result<bool, StoreError> {
        let (now, until) = (moment(now), moment(until));
        self.store.claim_order(name.to_string(), now, until).await
    }

    async fn release(&self, name: &CertName) -> Result<(), StoreError> {
        self.store.release_order(name.to_string()).await
    }

    async fn placing(&self, _: &CertName, at: SystemTime) -> Result<(), StoreError> {
        self.store.place_order(moment(at)).await
    }

    async fn issued(&self, name: &CertName, issued: &Issued) -> Result<(), StoreError> {
        let look = self.look().await?;
        let wanted = look.wanted.iter().find(|(wanted, _)| wanted == name);
        let Some((_, app)) = wanted else {
            tracing::warn!(%name, "nobody wants the certificate any more; it is dropped");
            return self.store.release_order(name.to_string()).await;
        };
        let earlier = look.kept.iter().filter(|kept| {
            let names = kept.certificate.names();
            kept.app == *app && kept.origin == CertificateOrigin::Acme && names == [name.as_str()]
        });
        let earlier = earlier.map(|kept| kept.id).collect();
        let certificate = NewCertificate {
            app: *app,
            origin: CertificateOrigin::Acme,
            chain: issued.chain_pem.clone(),
            key: Secret::new(issued.key_pem.as_str()),
            created_at: Timestamp::now(),
        };
        self.store
            .complete_order(name.to_string(), certificate, earlier)
            .await?;
        Ok(())
    }

    async fn failed(&self, name: &CertName, failed: &FailedTry) -> Result<(), StoreError> {
        let failed = FailedOrder {
            name: name.to_string(),
            failures: failed.failures,
            reason: failed.reason.clone(),
            failed_at: moment(failed.at),
            next_try: moment(failed.next_try),
        };
        self.store.fail_order(failed).await
    }

    async fn advised(&self, id: &str, advice: Advice) -> Result<(), StoreError> {
        let window = advice.window;
        let advice = RenewalAdvice {
            window: window.map(|window| (moment(window.start), moment(window.end))),
            ask_again: moment(advice.ask_again),
        };
        self.store.keep_advice(id.to_owned(), advice).await
    }

    async fn account(&self, directory: &str) -> Result<Option<KeptAccount>, StoreError> {
        let kept = self.store.authority_account(directory.to_owned()).await?;
        Ok(kept.map(|kept| KeptAccount {
            email: kept.email,
            credentials: Zeroizing::new(kept.credentials.reveal().to_owned()),
        }))
    }

    async fn keep_account(
        &self,
        directory: &str,
        account: Option<&KeptAccount>,
    ) -> Result<(), StoreError> {
        let account = account.map(|account| AuthorityAccount {
            email: account.email.clone(),
            credentials: Secret::new(account.credentials.as_str()),
        });
        self.store
            .keep_authority_account(directory.to_owned(), account)
            .await
    }
}

/// A moment of the calendar; one beyond it is its end.
fn moment(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
