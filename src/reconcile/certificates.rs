//! Which certificate is shown for which host name.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use mini_proxy::{Certificate, Certificates};

use super::plan::Rules;
use super::routes::names_of;
use crate::model::{AppId, CertificateId, CertificateOrigin};
use crate::store::{CertificatePem, Desired, Store, StoreError};

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

    /// The certificate for each host name of each app: the preferred one of the app's own that cover it. A name that no
    /// certificate of its app covers gets none, whatever other apps have.
    pub(super) fn certificates(&self, desired: &Desired, rules: &Rules) -> Certificates {
        let mut by_app: HashMap<AppId, Vec<(CertificateOrigin, &Arc<Certificate>)>> =
            HashMap::new();
        for (app, id, origin) in &desired.certificates {
            if let Some(certificate) = self.readable.get(id) {
                by_app.entry(*app).or_default().push((*origin, certificate));
            }
        }
        let mut certificates = Certificates::default();
        if by_app.is_empty() {
            return certificates;
        }
        let mut uncovered = Vec::new();
        for app in &desired.apps {
            let mut own = by_app.remove(&app.id).unwrap_or_default();
            own.sort_by_key(|(origin, certificate)| preference(*origin, Some(certificate)));
            for host in names_of(desired, app, rules) {
                let covering = own.iter().find(|(_, own)| own.covers(host.as_str()));
                match covering {
                    Some((_, certificate)) => {
                        certificates.insert(host.as_str(), Arc::clone(certificate));
                    }
                    None => uncovered.push(host),
                }
            }
        }
        // An app whose name lies below another's wildcard is not visited over that one's certificate.
        for host in uncovered {
            if certificates.find(host.as_str()).is_some() {
                certificates.withhold(host.as_str());
            }
        }
        certificates
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
    let app = desired.apps.iter().find(|candidate| candidate.id == *app)?;
    Some(app.name.as_str())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::Limits;
    use crate::model::{App, Domain, Secret, Timestamp};

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
            apps: vec![app(1, "shop"), app(2, "blog")],
            domains: vec![domain("shop.test"), domain("www.shop.test")],
            ..Desired::default()
        }
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
            let made = Certificate::self_signed(names, SystemTime::now(), DAY * days).unwrap();
            let id = CertificateId(i64::try_from(self.desired.certificates.len()).unwrap() + 1);
            self.desired.certificates.push((AppId(app), id, origin));
            self.shelf.readable.insert(id, Arc::new(made.certificate));
            id.0
        }

        /// The row id of the certificate that is shown for a host, or 0.
        fn shown(&self, host: &str) -> i64 {
            let certificates = self.shelf.certificates(&self.desired, &rules());
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
                app: shop.id,
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
            let certificates = shelf.certificates(&desired, &rules());
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
        assert!(shelf.certificates(&desired, &rules()).is_empty());
    }
}
