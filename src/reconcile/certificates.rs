//! Which certificate is shown for which host name.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use mini_proxy::{Certificate, Certificates};

use super::addresses::{Addresses, Claims};
use crate::model::{AppId, CertificateId, CertificateOrigin, DomainName};
use crate::store::{CertificatePem, Desired, Part, Store, StoreError};

/// The certificates that were read: each once, for what an id stands for never changes.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    readable: BTreeMap<CertificateId, Arc<Certificate>>,
    unreadable: BTreeSet<CertificateId>,
}

impl Shelf {
    /// Reads what is new and forgets what is gone. One that cannot be read is told in the log, once, and passed over.
    ///
    /// # Errors
    /// Only if the database fails; what was read before stays.
    pub(super) async fn follow(
        &mut self,
        store: &Store,
        desired: &Desired,
    ) -> Result<(), StoreError> {
        let wanted: BTreeSet<CertificateId> =
            desired.certificates.iter().map(|(_, id, _)| *id).collect();
        self.readable.retain(|id, _| wanted.contains(id));
        self.unreadable.retain(|id| wanted.contains(id));
        let new: Vec<CertificateId> = wanted
            .into_iter()
            .filter(|id| !self.readable.contains_key(id) && !self.unreadable.contains(id))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let pems = store.certificate_pems(new).await?;
        // Each takes a fraction of a millisecond, but a server may start with thousands.
        let read = tokio::task::spawn_blocking(move || {
            let each = |(id, pem)| (id, read(pem));
            pems.into_iter().map(each).collect::<Vec<_>>()
        });
        for (id, read) in read.await.unwrap_or_default() {
            match read {
                Ok(certificate) => {
                    self.readable.insert(id, Arc::new(certificate));
                }
                Err(why) => {
                    let app = owner(desired, id);
                    tracing::error!(
                        app,
                        id = id.0,
                        why,
                        "a certificate cannot be used; `certs:add` replaces it"
                    );
                    self.unreadable.insert(id);
                }
            }
        }
        Ok(())
    }

    /// The certificate with this id, if it was read and can be used.
    pub(super) fn get(&self, id: CertificateId) -> Option<&Arc<Certificate>> {
        self.readable.get(&id)
    }
}

/// The certificates that visitors are shown: for each host name the preferred one of those that cover it and are of an app
/// it belongs to or of the server. A name that none of these covers gets none, whatever other apps have.
///
/// A function of what is desired, whatever was followed before: that only decides how much is computed again.
#[derive(Default)]
pub(super) struct Shown {
    shelf: Shelf,
    /// Which rows there were.
    rows: Part<Vec<(Option<AppId>, CertificateId, CertificateOrigin)>>,
    /// Those that can be used, by owner.
    usable: HashMap<Option<AppId>, Vec<(CertificateOrigin, Arc<Certificate>)>>,
    /// Names for which another may be shown now.
    changed: HashSet<DomainName>,
    certificates: Certificates,
}

impl Shown {
    /// These names may belong to others than before.
    pub(super) fn note(&mut self, names: &HashSet<DomainName>) {
        self.changed.extend(names.iter().cloned());
    }

    /// The certificates for the names that `addresses` has, of whose changes [`Shown::note`] was told, if they are others
    /// than before.
    ///
    /// # Errors
    /// Only if the database fails; then the next call does what is left.
    pub(super) async fn follow(
        &mut self,
        store: &Store,
        addresses: &Addresses,
    ) -> Result<Option<Certificates>, StoreError> {
        let desired = addresses.desired();
        let has_other_rows = !self.rows.is_same(&desired.certificates);
        if has_other_rows {
            self.shelf.follow(store, desired).await?;
            self.rows = desired.certificates.clone();
        }
        Ok(self
            .update(addresses, has_other_rows)
            .then(|| self.certificates.clone()))
    }

    /// Returns whether anything may be another.
    fn update(&mut self, addresses: &Addresses, has_other_rows: bool) -> bool {
        if has_other_rows {
            self.usable.clear();
            for (app, id, origin) in &self.rows {
                if let Some(certificate) = self.shelf.get(*id) {
                    let of_app = self.usable.entry(*app).or_default();
                    of_app.push((*origin, Arc::clone(certificate)));
                }
            }
        }
        let mut changed = std::mem::take(&mut self.changed);
        if self.usable.is_empty() {
            return !std::mem::take(&mut self.certificates).is_empty();
        }
        // Whether one is withheld depends on the wildcard above.
        if has_other_rows || changed.iter().any(DomainName::is_wildcard) {
            self.certificates = Certificates::default();
            changed = addresses.all_names();
        }
        let mut uncovered = Vec::new();
        for host in &changed {
            self.certificates.remove(host.as_str());
            let claims = addresses.claims(host);
            match self.preferred(&claims, host) {
                Some(certificate) => self.certificates.insert(host.as_str(), certificate),
                None if claims.apps.is_empty() => {}
                None => uncovered.push(host),
            }
        }
        // An app whose name lies below another's wildcard is not visited over that one's certificate.
        for host in uncovered {
            if self.certificates.find(host.as_str()).is_some() {
                self.certificates.withhold(host.as_str());
            }
        }
        !changed.is_empty()
    }

    fn preferred(&self, claims: &Claims, host: &DomainName) -> Option<Arc<Certificate>> {
        let mut apps = claims.web.into_iter().chain(claims.apps.iter().copied());
        apps.find_map(|app| {
            let of = |owner: Option<AppId>| self.usable.get(&owner).into_iter().flatten();
            let covering = of(Some(app)).chain(of(None));
            let covering = covering.filter(|(_, certificate)| certificate.covers(host.as_str()));
            let best = covering.min_by_key(|(origin, own)| preference(*origin, Some(own)));
            best.map(|(_, certificate)| Arc::clone(certificate))
        })
    }
}

/// The order in which certificates of an app are preferred, the least first: by origin, then the one that expires last.
/// One that cannot be read comes last of its origin.
pub fn preference(
    origin: CertificateOrigin,
    certificate: Option<&Certificate>,
) -> (CertificateOrigin, Reverse<SystemTime>) {
    let until = certificate.map_or(UNIX_EPOCH, Certificate::not_after);
    (origin, Reverse(until))
}

fn read(pem: Result<CertificatePem, StoreError>) -> Result<Certificate, String> {
    let pem = pem.map_err(|error| error.to_string())?;
    Certificate::from_pem(pem.chain.as_bytes(), pem.key.reveal().as_bytes())
        .map_err(|error| error.to_string())
}

fn owner(desired: &Desired, id: CertificateId) -> Option<&str> {
    let (app, _, _) = desired
        .certificates
        .iter()
        .find(|(_, candidate, _)| *candidate == id)?;
    let app = app.as_ref()?;
    let app = desired.apps.iter().find(|candidate| candidate.id == *app)?;
    Some(app.name.as_str())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::Limits;
    use crate::model::{App, Domain, Secret, Timestamp};
    use crate::reconcile::Rules;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn rules() -> Rules {
        Rules {
            stop_grace: Duration::from_secs(30),
            drain: Duration::from_secs(60),
            limits: Limits {
                memory_bytes: None,
                pids: 1024,
            },
            restart_limit: 10,
            base_domains: vec!["apps.test".parse().unwrap()],
            https_port: Some(443),
            has_wildcards: false,
            standard: Default::default(),
        }
    }

    fn app(id: i64, name: &str) -> App {
        App {
            id: AppId(id),
            name: name.parse().unwrap(),
            created_at: Timestamp::UNIX_EPOCH,
            deploy_branch: None,
            is_stopped: false,
            current: None,
        }
    }

    /// The apps `shop` (1) with two domains of its own, and `blog` (2).
    fn world() -> Desired {
        let domain = |name: &str| Domain {
            app: AppId(1),
            name: name.parse().unwrap(),
        };
        Desired {
            apps: vec![app(2, "blog"), app(1, "shop")].into(),
            domains: vec![domain("shop.test"), domain("www.shop.test")].into(),
            ..Desired::default()
        }
    }

    fn shown(desired: &Desired, shelf: &Shelf) -> Certificates {
        let mut addresses = Addresses::new(Arc::new(rules()));
        let mut shown = Shown {
            shelf: Shelf {
                readable: shelf.readable.clone(),
                unreadable: BTreeSet::new(),
            },
            rows: desired.certificates.clone(),
            ..Shown::default()
        };
        shown.note(&addresses.follow(&Arc::new(desired.clone())));
        shown.update(&addresses, true);
        shown.certificates
    }

    /// A world and its certificates, put in by hand.
    #[derive(Default)]
    struct Given {
        desired: Desired,
        shelf: Shelf,
    }

    impl Given {
        fn new() -> Given {
            Given {
                desired: world(),
                shelf: Shelf::default(),
            }
        }

        fn add(&mut self, app: i64, origin: CertificateOrigin, names: &[&str], days: u32) -> i64 {
            self.add_of(Some(AppId(app)), origin, names, days)
        }

        fn add_of(
            &mut self,
            app: Option<AppId>,
            origin: CertificateOrigin,
            names: &[&str],
            days: u32,
        ) -> i64 {
            let made = Certificate::self_signed(names, SystemTime::now(), DAY * days).unwrap();
            let id = CertificateId(i64::try_from(self.desired.certificates.len()).unwrap() + 1);
            self.desired.certificates.push((app, id, origin));
            self.shelf.readable.insert(id, Arc::new(made.certificate));
            id.0
        }

        /// The row id of the certificate that is shown for a host, or 0.
        fn shown(&self, host: &str) -> i64 {
            let certificates = shown(&self.desired, &self.shelf);
            let Some(found) = certificates.find(host) else {
                return 0;
            };
            let of_row = self.shelf.readable.iter().find(|(_, own)| *own == found);
            of_row.unwrap().0.0
        }
    }

    #[test]
    fn a_name_is_served_by_a_certificate_of_its_own_app_only() {
        let mut given = Given::new();
        let blog = given.add(
            2,
            CertificateOrigin::Custom,
            &["shop.test", "*.apps.test", "elsewhere.test"],
            30,
        );
        assert_eq!(given.shown("blog.apps.test"), blog);
        for foreign in [
            "shop.test",
            "shop.apps.test",
            "elsewhere.test",
            "x.apps.test",
        ] {
            assert_eq!(given.shown(foreign), 0, "{foreign}");
        }
        let shop = given.add(1, CertificateOrigin::SelfSigned, &["shop.test"], 30);
        assert_eq!(given.shown("shop.test"), shop);
        assert_eq!(given.shown("www.shop.test"), 0, "no certificate covers it");
    }

    #[test]
    fn the_certificate_of_a_wildcard_is_not_shown_for_another_apps_name_below_it() {
        let mut given = Given::new();
        given.desired.domains.push(Domain {
            app: AppId(1),
            name: "*.shop.test".parse().unwrap(),
        });
        given.desired.domains.push(Domain {
            app: AppId(2),
            name: "blog.shop.test".parse().unwrap(),
        });
        let wildcard = given.add(1, CertificateOrigin::Custom, &["*.shop.test"], 30);
        assert_eq!(given.shown("any.shop.test"), wildcard);
        assert_eq!(given.shown("www.shop.test"), wildcard);
        assert_eq!(given.shown("blog.shop.test"), 0);
        let own = given.add(2, CertificateOrigin::Custom, &["blog.shop.test"], 30);
        assert_eq!(given.shown("blog.shop.test"), own);
    }

    #[test]
    fn custom_comes_before_an_authoritys_and_that_before_a_self_signed_one() {
        let mut given = Given::new();
        let all = ["shop.test", "www.shop.test", "shop.apps.test"];
        let own = given.add(1, CertificateOrigin::SelfSigned, &all, 900);
        let authority = given.add(1, CertificateOrigin::Acme, &all[..2], 90);
        let custom = given.add(1, CertificateOrigin::Custom, &all[..1], 30);
        assert_eq!(given.shown("shop.test"), custom);
        assert_eq!(given.shown("www.shop.test"), authority);
        assert_eq!(given.shown("shop.apps.test"), own);
    }

    #[test]
    fn of_one_origin_the_later_expiry_wins() {
        let mut given = Given::new();
        given.add(1, CertificateOrigin::Acme, &["shop.test"], 20);
        let renewed = given.add(1, CertificateOrigin::Acme, &["shop.test"], 90);
        given.add(1, CertificateOrigin::Acme, &["*.test"], 50);
        assert_eq!(given.shown("shop.test"), renewed);
    }

    #[test]
    fn the_servers_own_serves_every_app_below_unless_it_has_a_better_one() {
        let acme = CertificateOrigin::Acme;
        let mut given = Given::new();
        given.desired.domains.push(Domain {
            app: AppId(2),
            name: "blog.test".parse().unwrap(),
        });
        let server = given.add_of(None, acme, &["*.apps.test"], 60);
        assert_eq!(given.shown("shop.apps.test"), server);
        assert_eq!(given.shown("blog.apps.test"), server);
        for other in ["nobody.apps.test", "shop.test", "apps.test"] {
            assert_eq!(given.shown(other), 0, "{other}");
        }
        // The one of before the server had its own: no longer renewed, it goes out of use in time.
        given.add(1, acme, &["shop.apps.test"], 30);
        assert_eq!(given.shown("shop.apps.test"), server);
        given.add(1, CertificateOrigin::SelfSigned, &["shop.apps.test"], 900);
        assert_eq!(given.shown("shop.apps.test"), server);
        let custom = given.add(1, CertificateOrigin::Custom, &["shop.apps.test"], 10);
        assert_eq!(given.shown("shop.apps.test"), custom);
        assert_eq!(given.shown("blog.apps.test"), server);
    }

    /// Whatever was followed before, what is shown is the same.
    #[test]
    fn what_follows_changes_ends_where_a_fresh_start_does() {
        let mut given = Given::new();
        given.add(
            1,
            CertificateOrigin::Custom,
            &["shop.test", "*.shop.test"],
            30,
        );
        given.add(2, CertificateOrigin::Acme, &["a.shop.test", "b.test"], 30);
        given.add_of(None, CertificateOrigin::Acme, &["*.apps.test"], 30);
        let domain = |app: i64, name: &str| Domain {
            app: AppId(app),
            name: name.parse().unwrap(),
        };
        let worlds = [
            vec![domain(1, "shop.test"), domain(2, "a.shop.test")],
            vec![
                domain(1, "*.shop.test"),
                domain(2, "a.shop.test"),
                domain(2, "c.shop.test"),
            ],
            vec![
                domain(1, "a.shop.test"),
                domain(1, "shop.test"),
                domain(2, "b.test"),
            ],
            vec![domain(2, "b.test"), domain(2, "shop.test")],
            vec![domain(1, "*.shop.test"), domain(2, "b.test")],
            vec![],
        ];
        let mut addresses = Addresses::new(Arc::new(rules()));
        let mut following = Shown {
            rows: given.desired.certificates.clone(),
            ..Shown::default()
        };
        following.shelf.readable = given.shelf.readable.clone();
        let mut has_other_rows = true;
        for (number, domains) in worlds.into_iter().enumerate() {
            given.desired.domains = domains.into();
            following.note(&addresses.follow(&Arc::new(given.desired.clone())));
            following.update(&addresses, has_other_rows);
            has_other_rows = false;
            let fresh = shown(&given.desired, &given.shelf);
            assert_eq!(following.certificates, fresh, "world {number}");
        }
    }

    #[tokio::test]
    async fn one_that_cannot_be_read_is_passed_over_and_the_others_are_served() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let now = Timestamp::now();
        let name = "shop".parse().unwrap();
        let shop = store.create_app(&name, now).await.unwrap();
        let made = Certificate::self_signed(&["shop.apps.test"], SystemTime::now(), DAY).unwrap();
        let add = async |origin, chain: String| {
            let new = crate::model::NewCertificate {
                app: Some(shop.id),
                origin,
                chain,
                key: Secret::new(made.key_pem.clone()),
                created_at: now,
            };
            store.replace_certificate(new).await.unwrap()
        };
        let damaged = add(CertificateOrigin::Custom, "no PEM".to_owned()).await;
        let good = add(CertificateOrigin::SelfSigned, made.chain_pem.clone()).await;
        let mut shelf = Shelf::default();
        for _ in 0..2 {
            let desired = store.desired().await.unwrap();
            shelf.follow(&store, &desired).await.unwrap();
            assert_eq!(shelf.unreadable, BTreeSet::from([damaged]));
            assert_eq!(shelf.readable.keys().collect::<Vec<_>>(), [&good]);
            let certificates = shown(&desired, &shelf);
            assert_eq!(
                certificates.find("shop.apps.test").map(|found| &**found),
                Some(&made.certificate)
            );
        }
        let origins = vec![CertificateOrigin::Custom, CertificateOrigin::SelfSigned];
        store.remove_certificates(shop.id, origins).await.unwrap();
        let desired = store.desired().await.unwrap();
        shelf.follow(&store, &desired).await.unwrap();
        assert!(shelf.readable.is_empty() && shelf.unreadable.is_empty());
        assert!(shown(&desired, &shelf).is_empty());
    }
}
