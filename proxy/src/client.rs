//! Who asks: the client at the other end of a connection, or the one that a trusted proxy there asks for.

use crate::drain::Open;
use crate::forwarded::Said;
use crate::gate::Visit;
use crate::taken::Blocked;
use crate::tls::Shown;
use crate::worker::Worker;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

/// The client's end of a connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) worker: Rc<Worker>,
    /// Who asks, as far as the connection tells.
    visitor: Rc<Visitor>,
    /// What its requests say of who asks is believed.
    is_trusted: bool,
    /// What it was shown, if it speaks TLS.
    pub(crate) tls: Option<Shown>,
    pub(crate) open: Open,
    /// It does not take what is written to it.
    pub(crate) is_blocked: Blocked,
    /// The port it came in by, if that was opened beside the listeners and has routes of its own.
    pub(crate) own_port: Option<u16>,
    _visit: Option<Visit>,
}

/// Where a connection comes from and goes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// The port of the listener, if that was opened beside the others.
    pub(crate) own_port: Option<u16>,
    /// A trusted proxy has said that the peer spoke TLS with it.
    pub(crate) is_tls_in_front: bool,
}

/// A connection's place among those that are open, and among those of its address where they are limited.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) open: Open,
    pub(crate) visit: Option<Visit>,
}

/// Who a request comes from, as the rules about addresses, the access log and the upstream see it.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) ip: IpAddr,
    /// The same, as text.
    pub(crate) address: HeaderValue,
    /// Whether it came over TLS, to us or to the first of the trusted proxies.
    pub(crate) is_https: bool,
    /// The port it came to.
    pub(crate) port: HeaderValue,
    /// The request comes from a trusted proxy, which also tells since when and under which id it is on its way.
    pub(crate) is_introduced: bool,
}

impl Visitor {
    pub(crate) fn new(ip: IpAddr, is_https: bool, port: u16) -> Visitor {
        // A listener for both IP versions shows IPv4 peers as ::ffff:192.0.2.1.
        let ip = ip.to_canonical();
        Visitor {
            ip,
            address: HeaderValue::from_maybe_shared(Bytes::from(text(ip)))
                .unwrap_or(HeaderValue::from_static("unknown")),
            is_https,
            port: HeaderValue::from(port),
            is_introduced: false,
        }
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }
}

/// An address as it is written. Formatting one costs a new connection 1,400 instructions, and this for IPv4 a tenth.
fn text(ip: IpAddr) -> Vec<u8> {
    let IpAddr::V4(ip) = ip else {
        return ip.to_string().into_bytes();
    };
    let mut text = Vec::with_capacity("255.255.255.255".len());
    for octet in ip.octets() {
        if !text.is_empty() {
            text.push(b'.');
        }
        if octet >= 100 {
            text.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            text.push(b'0' + octet / 10 % 10);
        }
        text.push(b'0' + octet % 10);
    }
    text
}

impl Client {
    pub(crate) fn new(worker: Rc<Worker>, ends: Ends, seat: Seat, tls: Option<Shown>) -> Client {
        let is_https = tls.is_some() || ends.is_tls_in_front;
        let visitor = Visitor::new(ends.peer.ip(), is_https, ends.local.port());
        let is_trusted = worker.settings.trusts(visitor.ip);
        Client {
            worker,
            visitor: Rc::new(visitor),
            is_trusted,
            tls,
            open: seat.open,
            is_blocked: Blocked::default(),
            own_port: ends.own_port,
            _visit: seat.visit,
        }
    }

    /// Who a request with these headers comes from.
    pub(crate) fn visitor(&self, headers: &HeaderMap) -> Rc<Visitor> {
        if !self.is_trusted {
            return Rc::clone(&self.visitor);
        }
        let trusts = |address| self.worker.settings.trusts(address);
        let said = Said::by(headers, trusts);
        let known = &self.visitor;
        let port = said.port.or(said
            .is_https
            .map(|is_https| if is_https { 443 } else { 80 }));
        let mut visitor = Visitor::new(
            said.client.unwrap_or(known.ip),
            said.is_https.unwrap_or(known.is_https),
            0,
        );
        visitor.port = port.map_or_else(|| known.port.clone(), HeaderValue::from);
        visitor.is_introduced = true;
        Rc::new(visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::text;
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use std::net::IpAddr;

    proptest! {
        #[test]
        fn an_address_is_written_as_ever(ip: IpAddr, octet in any::<u8>()) {
            for ip in [ip, [octet, 10, 100, 9].into()] {
                prop_assert_eq!(String::from_utf8(text(ip)).unwrap(), ip.to_string());
            }
        }
    }
}
