//! A proxy that an authority can reach, with an engine that looks after its certificates.

use crate::memory::Memory;
use crate::pebble::{Pebble, Pebbled};
use mini_proxy::acme::{Acme, AcmeSettings, Authority, SelfCheck};
use mini_proxy::{Listeners, Proxy, ProxyHandle, ProxySettings, RouteTable};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A proxy on two ports.
pub(crate) struct Site {
    pub(crate) http_port: u16,
    pub(crate) https_port: u16,
    pub(crate) handle: ProxyHandle,
    _proxy: Proxy,
}

impl Site {
    pub(crate) fn start() -> Site {
        let settings = ProxySettings {
            threads: 1,
            ..ProxySettings::default()
        };
        let local = ([127, 0, 0, 1], 0).into();
        let http = Listeners::bind(local, 1).unwrap();
        let https = Listeners::bind(local, 1).unwrap().tls();
        let ports = [&http, &https].map(|listeners| listeners.local_address().port());
        let proxy = Proxy::start(vec![http, https], settings).unwrap();
        let handle = proxy.handle();
        handle.set_table(RouteTable::default());
        let [http_port, https_port] = ports;
        Site {
            http_port,
            https_port,
            handle,
            _proxy: proxy,
        }
    }

    /// How an authority has to be that validates here.
    pub(crate) fn pebbled(&self) -> Pebbled {
        Pebbled::validating(self.http_port, self.https_port)
    }

    /// To get certificates from this authority, with a self-check by its DNS server.
    pub(crate) fn settings(&self, pebble: &Pebble) -> AcmeSettings {
        let mut settings = AcmeSettings::new(Authority {
            directory: pebble.directory.clone(),
            email: "ops@example.com".to_owned(),
            binding: None,
            roots: Some(pebble.roots.clone()),
        });
        settings.self_check = Some(SelfCheck {
            http_port: self.http_port,
            https_port: self.https_port,
            resolver: Some(pebble.dns),
        });
        settings
    }

    pub(crate) fn engine(&self, settings: AcmeSettings, store: &Arc<Memory>) -> Acme {
        let wake = Arc::clone(&store.wake);
        Acme::start(settings, Arc::clone(store), self.handle.clone(), wake).unwrap()
    }

    /// The certificate a visitor of this name is shown, once its chain was found to lead to a root.
    pub(crate) async fn visit(&self, name: &str, root: &Path) -> CertificateDer<'static> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(root).unwrap())
            .unwrap();
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(("127.0.0.1", self.https_port))
            .await
            .unwrap();
        let name = name.to_owned().try_into().unwrap();
        let stream = connector.connect(name, stream).await.unwrap();
        let (_, connection) = stream.get_ref();
        connection.peer_certificates().unwrap()[0].clone()
    }

    /// Whether any answer to a challenge is still shown.
    pub(crate) fn shows_challenges(&self, names: &[&str]) -> bool {
        let certificates = self.handle.certificates();
        let mut names = names.iter();
        !self.handle.http_challenges().is_empty()
            || names.any(|name| certificates.find_challenge(name).is_some())
    }
}
