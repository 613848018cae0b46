//! Opens and closes ports of apps beside the server's own, so that what is open is what the store says.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mini_proxy::{BindError, Listeners, OpenPort, ProxyHandle};

use super::holder;
use super::plan::Rules;
use super::port_routes::{self, WantedPort};
use crate::model::{PortScheme, StandardPorts};
use crate::store::Desired;

/// How long the threads of the proxy may take to let go of a port. They take microseconds; a wait without end would stop
/// the reconciler.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Why a port that should be open is not.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trouble {
    /// Tells one trouble from the next without asking who holds the port.
    kind: ErrorKind,
    why: String,
}

/// What the reconciler knows of ports beyond what the proxy shows.
pub(super) struct Ports {
    /// Sockets of the server before, until the ports that are wanted have been opened once.
    passed: Vec<Listeners>,
    troubles: BTreeMap<u16, Trouble>,
    /// The same for readers.
    closed: Arc<BTreeMap<u16, String>>,
}

impl Ports {
    pub(super) fn new(passed: Vec<Listeners>) -> Ports {
        Ports {
            passed,
            troubles: BTreeMap::new(),
            closed: Arc::default(),
        }
    }

    /// Why ports are not open that should be, by port.
    pub(super) fn closed(&self) -> Arc<BTreeMap<u16, String>> {
        Arc::clone(&self.closed)
    }

    /// Closes what no app has any more. To be done before the routes go, so that who waits in its queue is answered.
    pub(super) async fn close_unwanted(
        &self,
        desired: &Desired,
        rules: &Rules,
        proxy: &ProxyHandle,
    ) {
        let wanted = port_routes::wanted(desired, rules);
        for open in proxy.open_ports() {
            let scheme = wanted.get(&open.port).map(|wanted| wanted.scheme);
            if scheme.is_some_and(|scheme| is_as(&open, scheme, &rules.standard)) {
                continue;
            }
            let port = open.port;
            let closed = proxy.close_port(port, rules.drain);
            match tokio::time::timeout(CLOSE_WITHIN, closed).await {
                Ok(_) => tracing::info!(port, "a port was closed: no app has it any more"),
                Err(_) => tracing::warn!(port, "a port is closed, but not all threads have let go"),
            }
        }
    }

    /// Opens what is missing. What cannot be opened is told once, and tried again each time.
    pub(super) async fn open_wanted(
        &mut self,
        desired: &Desired,
        rules: &Rules,
        proxy: &ProxyHandle,
    ) {
        let wanted = port_routes::wanted(desired, rules);
        let open: BTreeSet<u16> = proxy.open_ports().iter().map(|open| open.port).collect();
        let before = self.troubles.clone();
        self.troubles
            .retain(|port, _| wanted.contains_key(port) && !open.contains(port));
        for (port, WantedPort { scheme, .. }) in wanted {
            if open.contains(&port) {
                continue;
            }
            match self.open(port, scheme, &rules.standard, proxy) {
                Ok(()) => {
                    self.troubles.remove(&port);
                    tracing::info!(port, %scheme, "a port was opened");
                }
                Err((kind, why)) => self.note(port, kind, why).await,
            }
        }
        // What is left is not wanted any more, or was at an address that the settings no longer name.
        self.passed.clear();
        if self.troubles != before {
            let closed = self.troubles.iter();
            let closed = closed.map(|(port, trouble)| (*port, trouble.why.clone()));
            self.closed = Arc::new(closed.collect());
        }
    }

    async fn note(&mut self, port: u16, kind: ErrorKind, why: String) {
        if self
            .troubles
            .get(&port)
            .is_some_and(|known| known.kind == kind)
        {
            return;
        }
        let why = told(port, kind, why).await;
        tracing::warn!(port, why, "a port cannot be opened; it is tried again");
        self.troubles.insert(port, Trouble { kind, why });
    }

    fn open(
        &mut self,
        port: u16,
        scheme: PortScheme,
        standard: &StandardPorts,
        proxy: &ProxyHandle,
    ) -> Result<(), (ErrorKind, String)> {
        let is_tls = scheme == PortScheme::Https;
        let mut listeners = Vec::new();
        for address in addresses(port, scheme, standard)? {
            let is_it =
                |passed: &Listeners| passed.local_address() == address && passed.is_tls() == is_tls;
            let passed = self.passed.iter().position(is_it);
            listeners.push(match passed {
                Some(at) => self.passed.swap_remove(at),
                None => bind(address, is_tls, proxy.threads())?,
            });
        }
        let opened = proxy.open_port(listeners);
        opened.map_err(|error| (ErrorKind::Other, error.to_string()))
    }
}

/// Whether a port could be opened now; if not, why, as a clause. Nothing is left open.
pub(super) async fn probe(
    port: u16,
    scheme: PortScheme,
    standard: &StandardPorts,
    proxy: &ProxyHandle,
) -> Result<(), String> {
    // It is ours already, if perhaps in another way: then it is closed before it is opened again.
    if proxy.open_ports().iter().any(|open| open.port == port) {
        return Ok(());
    }
    let free = || {
        for address in addresses(port, scheme, standard)? {
            bind(address, false, 1)?;
        }
        Ok(())
    };
    match free() {
        Ok(()) => Ok(()),
        Err((kind, why)) => Err(told(port, kind, why).await),
    }
}

/// Where a port listens: at the addresses at which the server does for the same scheme.
fn addresses(
    port: u16,
    scheme: PortScheme,
    standard: &StandardPorts,
) -> Result<Vec<SocketAddr>, (ErrorKind, String)> {
    if let Some(own) = standard.scheme_of(port).filter(|own| *own != scheme) {
        let why = format!("this server speaks {own} there");
        return Err((ErrorKind::InvalidInput, why));
    }
    let addresses: BTreeSet<IpAddr> = standard.of(scheme).iter().map(SocketAddr::ip).collect();
    if addresses.is_empty() {
        let why = match scheme {
            PortScheme::Http => "this server listens nowhere for HTTP (`http-listen`)",
            PortScheme::Https => "HTTPS is turned off on this server (`https-listen`)",
        };
        return Err((ErrorKind::Unsupported, why.to_owned()));
    }
    let addresses = addresses.into_iter();
    Ok(addresses.map(|ip| SocketAddr::new(ip, port)).collect())
}

fn is_as(open: &OpenPort, scheme: PortScheme, standard: &StandardPorts) -> bool {
    let is_tls = scheme == PortScheme::Https;
    open.is_tls == is_tls
        && addresses(open.port, scheme, standard).is_ok_and(|wanted| wanted == open.addresses)
}

fn bind(
    address: SocketAddr,
    is_tls: bool,
    threads: usize,
) -> Result<Listeners, (ErrorKind, String)> {
    let listeners = Listeners::bind(address, threads).map_err(|error| {
        let (BindError::InUse { source, .. }
        | BindError::NotPermitted { source, .. }
        | BindError::Failed { source, .. }) = &error;
        (source.kind(), source.to_string())
    })?;
    Ok(if is_tls { listeners.tls() } else { listeners })
}

/// Why a port cannot be opened, as a clause.
async fn told(port: u16, kind: ErrorKind, why: String) -> String {
    match kind {
        ErrorKind::AddrInUse => {
            let holder = tokio::task::spawn_blocking(move || holder::of(port)).await;
            let holder = holder.ok().flatten();
            let holder = holder.unwrap_or_else(|| "another process".to_owned());
            format!("{holder} listens there already")
        }
        ErrorKind::PermissionDenied => {
            "ports below 1024 need root or the capability CAP_NET_BIND_SERVICE".to_owned()
        }
        _ => why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standard(http: &[&str], https: &[&str]) -> StandardPorts {
        let parse = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        StandardPorts {
            http: parse(http),
            https: parse(https),
        }
    }

    #[test]
    fn a_port_listens_where_the_server_does_for_its_scheme() {
        let both = standard(
            &["127.0.0.1:80", "[::1]:80", "127.0.0.1:8080"],
            &["0.0.0.0:443"],
        );
        let check = |port, scheme, standard: &StandardPorts, expected: &[&str]| {
            let found = addresses(port, scheme, standard).unwrap();
            let expected: Vec<SocketAddr> = expected.iter().map(|it| it.parse().unwrap()).collect();
            assert_eq!(found, expected, "{port}");
        };
        check(
            9000,
            PortScheme::Http,
            &both,
            &["127.0.0.1:9000", "[::1]:9000"],
        );
        check(9000, PortScheme::Https, &both, &["0.0.0.0:9000"]);
        let refused = addresses(443, PortScheme::Http, &both).unwrap_err();
        assert_eq!(refused.1, "this server speaks https there");
        let without = standard(&["0.0.0.0:80"], &[]);
        let refused = addresses(9000, PortScheme::Https, &without).unwrap_err();
        assert!(refused.1.contains("HTTPS is turned off"), "{}", refused.1);
    }

    #[tokio::test]
    async fn who_holds_a_port_is_named_once_it_is_in_the_way() {
        let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        let why = told(port, ErrorKind::AddrInUse, String::new()).await;
        let me = format!("(process {}) listens there already", std::process::id());
        assert!(why.ends_with(&me), "{why}");
    }
}
