//! Which certificate is shown for which name: a plain value, replaced as a whole.

use crate::certificate::Certificate;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Which certificate is shown for which server name.
///
/// A plain value: build one, compare it, hand it to
/// [`ProxyHandle::set_certificates`](crate::ProxyHandle::set_certificates). It alone decides which hosts have
/// HTTPS: a name it does not know is refused with the TLS alert `unrecognized_name`, never answered with
/// another host's certificate.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Certificates {
    exact: HashMap<Box<str>, Arc<Certificate>>,
    /// By the name below the wildcard: `example.com` for `*.example.com`.
    wildcard: HashMap<Box<str>, Arc<Certificate>>,
    /// Names below a wildcard that it is not shown for.
    withheld: HashSet<Box<str>>,
    challenges: HashMap<Box<str>, Arc<Certificate>>,
}

impl Certificates {
    /// Shows a certificate for a host, or with `*.example.com` for every host one label below, in place of
    /// the one it had. Case and one trailing dot of the name do not matter.
    ///
    /// Whether the certificate names the host is not asked: visitors' clients do.
    pub fn insert(&mut self, name: &str, certificate: Arc<Certificate>) {
        let name = normal(name);
        match name.strip_prefix("*.") {
            Some(parent) => self.wildcard.insert(parent.into(), certificate),
            None => self.exact.insert(name.into(), certificate),
        };
    }

    /// Shows a certificate for all of its own names.
    pub fn insert_for_its_names(&mut self, certificate: &Arc<Certificate>) {
        for name in certificate.names() {
            self.insert(name, Arc::clone(certificate));
        }
    }

    /// Forgets what was said of a host, or with `*.example.com` of the wildcard.
    pub fn remove(&mut self, name: &str) {
        let name = normal(name);
        match name.strip_prefix("*.") {
            Some(parent) => self.wildcard.remove(parent),
            None => self.exact.remove(name.as_str()),
        };
        self.withheld.remove(name.as_str());
    }

    /// Shows no certificate for a host, though there is one for a wildcard above it; one for exactly this host is
    /// shown all the same.
    pub fn withhold(&mut self, name: &str) {
        self.withheld.insert(normal(name).into());
    }

    /// Answers the TLS-ALPN-01 challenge for a host with this certificate (RFC 8737); see
    /// [`Certificate::for_challenge`]. Only clients that offer `acme-tls/1` see it.
    pub fn answer_challenge(&mut self, name: &str, certificate: Arc<Certificate>) {
        self.challenges.insert(normal(name).into(), certificate);
    }

    /// Ends [`Certificates::answer_challenge`] for a host.
    pub(crate) fn end_challenge(&mut self, name: &str) {
        self.challenges.remove(normal(name).as_str());
    }

    /// The certificate shown for a server name: that of the exact name, else that of the wildcard one label
    /// above. The name is lower case, without trailing dot, as TLS clients send it.
    pub fn find(&self, name: &str) -> Option<&Arc<Certificate>> {
        self.exact.get(name).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            let wildcard = self.wildcard.get(parent)?;
            (!self.withheld.contains(name)).then_some(wildcard)
        })
    }

    /// The answer to a challenge for a server name, if one is pending.
    pub fn find_challenge(&self, name: &str) -> Option<&Arc<Certificate>> {
        self.challenges.get(name)
    }

    /// All names with their certificates, wildcards as `*.example.com`, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (String, &Arc<Certificate>)> {
        let exact = self.exact.iter();
        let wildcard = self.wildcard.iter();
        exact
            .map(|(name, certificate)| (name.to_string(), certificate))
            .chain(wildcard.map(|(parent, certificate)| (format!("*.{parent}"), certificate)))
    }

    /// How many names have a certificate.
    pub fn len(&self) -> usize {
        self.exact.len() + self.wildcard.len()
    }

    /// True when no name has a certificate.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty()
    }
}

fn normal(name: &str) -> String {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::Certificates;
    use crate::Certificate;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    fn certificate(names: &[&str]) -> Arc<Certificate> {
        let made = Certificate::self_signed(names, SystemTime::now(), Duration::from_secs(3600));
        Arc::new(made.unwrap().certificate)
    }

    #[test]
    fn an_exact_name_comes_before_a_wildcard_of_one_label() {
        let (exact, wildcard) = (certificate(&["a.apps.test"]), certificate(&["*.apps.test"]));
        let mut certificates = Certificates::default();
        certificates.insert_for_its_names(&exact);
        certificates.insert("*.APPS.test.", Arc::clone(&wildcard));
        let check = |name: &str, expected: Option<&Arc<Certificate>>| {
            assert_eq!(certificates.find(name), expected, "{name}");
        };
        check("a.apps.test", Some(&exact));
        check("b.apps.test", Some(&wildcard));
        check("apps.test", None);
        check("x.b.apps.test", None);
        check("*.apps.test", Some(&wildcard));
        check("", None);
        assert_eq!(certificates.len(), 2);
        certificates.withhold("B.apps.test");
        certificates.withhold("a.apps.test");
        assert_eq!(certificates.find("b.apps.test"), None);
        assert_eq!(certificates.find("a.apps.test"), Some(&exact));
        assert_eq!(certificates.find("c.apps.test"), Some(&wildcard));
        certificates.remove("B.apps.test");
        certificates.remove("a.apps.test");
        for free in ["a.apps.test", "b.apps.test"] {
            assert_eq!(certificates.find(free), Some(&wildcard), "{free}");
        }
        certificates.remove("*.apps.test");
        assert_eq!(certificates, Certificates::default());
    }

    #[test]
    fn a_challenge_answers_for_nothing_else() {
        let challenge = Arc::new(Certificate::for_challenge("new.test", &[7; 32]).unwrap());
        let mut certificates = Certificates::default();
        certificates.answer_challenge("New.test", Arc::clone(&challenge));
        assert_eq!(certificates.find_challenge("new.test"), Some(&challenge));
        assert_eq!(certificates.find("new.test"), None);
        assert!(certificates.is_empty());
        assert_ne!(certificates, Certificates::default());
    }
}
