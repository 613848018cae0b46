//! The answers to challenges that the proxy shows at the moment.

use crate::certificate::Certificate;
use crate::handle::{HttpChallenges, ProxyHandle, TlsChallenges};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shows answers to challenges through a proxy, of several orders at once.
#[derive(Debug)]
pub(crate) struct Stage {
    proxy: ProxyHandle,
    open: Mutex<Open>,
}

#[derive(Default, Debug)]
struct Open {
    http: HttpChallenges,
    tls: TlsChallenges,
}

impl Stage {
    pub(crate) fn new(proxy: ProxyHandle) -> Arc<Stage> {
        let open = Mutex::default();
        Arc::new(Stage { proxy, open })
    }

    /// Answers for an HTTP-01 token until the answer is dropped.
    pub(crate) fn show_http(self: &Arc<Self>, token: &str, authorization: &str) -> Shown {
        let mut open = self.lock();
        open.http.insert(token.to_owned(), authorization.to_owned());
        self.proxy.set_http_challenges(open.http.clone());
        self.shown(What::Http(token.to_owned()))
    }

    /// Shows a certificate for a TLS-ALPN-01 challenge of a name until the answer is dropped.
    pub(crate) fn show_tls(self: &Arc<Self>, name: &str, certificate: Arc<Certificate>) -> Shown {
        let mut open = self.lock();
        open.tls.insert(name.to_owned(), certificate);
        self.proxy.set_tls_challenges(open.tls.clone());
        self.shown(What::Tls(name.to_owned()))
    }

    fn shown(self: &Arc<Self>, what: What) -> Shown {
        let stage = Arc::clone(self);
        Shown { stage, what }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer that is shown. Dropped, it is no more.
#[derive(Debug)]
#[must_use]
pub(crate) struct Shown {
    stage: Arc<Stage>,
    what: What,
}

#[derive(Debug)]
enum What {
    Http(String),
    Tls(String),
}

impl Drop for Shown {
    fn drop(&mut self) {
        let mut open = self.stage.lock();
        match &self.what {
            What::Http(token) => {
                open.http.remove(token);
                self.stage.proxy.set_http_challenges(open.http.clone());
            }
            What::Tls(name) => {
                open.tls.remove(name);
                self.stage.proxy.set_tls_challenges(open.tls.clone());
            }
        }
    }
}
