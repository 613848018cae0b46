//! A proxy that speaks TLS, and clients that do.

use crate::world::{App, Client, patiently, settings, table};
use mini_proxy::{
    Certificate, Certificates, Listeners, Proxy, ProxyHandle, ProxySettings, RouteTable, Service,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) fn certificate(names: &[&str]) -> Arc<Certificate> {
    let hour = Duration::from_secs(3600);
    let made = Certificate::self_signed(names, SystemTime::now(), hour).unwrap();
    Arc::new(made.certificate)
}

pub(crate) fn certificates(shown: &[&Arc<Certificate>]) -> Certificates {
    let mut certificates = Certificates::default();
    for certificate in shown {
        certificates.insert_for_its_names(certificate);
    }
    certificates
}

/// A proxy with a listener for HTTPS and one for plain HTTP.
pub(crate) struct SecureWorld {
    pub(crate) proxy: Proxy,
    pub(crate) handle: ProxyHandle,
    pub(crate) https: SocketAddr,
    pub(crate) http: SocketAddr,
}

impl SecureWorld {
    pub(crate) fn start(settings: ProxySettings, shown: &[&Arc<Certificate>]) -> SecureWorld {
        let bind = || Listeners::bind(([127, 0, 0, 1], 0).into(), settings.threads).unwrap();
        let (https, http) = (bind().tls(), bind());
        let addresses = (https.local_address(), http.local_address());
        let proxy = Proxy::start(vec![https, http], settings).unwrap();
        let handle = proxy.handle();
        handle.set_certificates(certificates(shown));
        handle.set_table(RouteTable::default());
        SecureWorld {
            proxy,
            handle,
            https: addresses.0,
            http: addresses.1,
        }
    }

    /// One data thread; each of these hosts is served by the app.
    pub(crate) fn with(app: &App, hosts: &[&str], shown: &[&Arc<Certificate>]) -> SecureWorld {
        let world = SecureWorld::start(settings(1), shown);
        world.serve(hosts, Service::serving("app", [app.upstream.clone()]));
        world
    }

    pub(crate) fn serve(&self, hosts: &[&str], service: Service) {
        let mut routes = table("unused", Service::serving("unused", []));
        let service = Arc::new(service);
        for host in hosts {
            routes.insert(host.parse().unwrap(), Arc::clone(&service));
        }
        self.handle.set_table(routes);
    }

    /// A connection over TLS that asks for this server name.
    pub(crate) async fn client(
        &self,
        caller: &Caller,
        name: &str,
    ) -> io::Result<Client<TlsStream<TcpStream>>> {
        let stream = self.connect(caller, name).await?;
        Ok(Client {
            stream: BufReader::new(stream),
        })
    }

    pub(crate) async fn connect(
        &self,
        caller: &Caller,
        name: &str,
    ) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.https).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let connector = TlsConnector::from(Arc::clone(&caller.config));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        patiently("a handshake", connector.connect(name, stream)).await
    }
}

/// A TLS client that trusts some certificates, and remembers its sessions.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) config: Arc<ClientConfig>,
}

impl Caller {
    pub(crate) fn trusting(trusted: &[&Arc<Certificate>]) -> Caller {
        Caller::new(trusted, &[&TLS12, &TLS13])
    }

    pub(crate) fn new(
        trusted: &[&Arc<Certificate>],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Caller {
        let mut roots = RootCertStore::empty();
        for certificate in trusted {
            roots.add(certificate.chain()[0].clone()).unwrap();
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Caller {
            config: Arc::new(config),
        }
    }

    /// The same with something changed.
    pub(crate) fn but(&self, change: impl FnOnce(&mut ClientConfig)) -> Caller {
        let mut config = ClientConfig::clone(&self.config);
        change(&mut config);
        Caller {
            config: Arc::new(config),
        }
    }

    pub(crate) fn offering(&self, protocols: &[&str]) -> Caller {
        let protocols = protocols.iter().map(|name| name.as_bytes().to_vec());
        self.but(|config| config.alpn_protocols = protocols.collect())
    }
}

/// Takes any certificate.
#[derive(Debug)]
pub(crate) struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
