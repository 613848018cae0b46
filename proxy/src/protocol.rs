//! Which HTTP the two sides of the proxy speak.

/// How a service's upstreams are spoken to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protocol {
    /// HTTP/1.1, one request at a time on a connection.
    #[default]
    Http1,
    /// HTTP/2 without TLS and without asking first ("prior knowledge", RFC 9113 section 3.3), as gRPC
    /// servers want it: all requests of a data thread share one connection to an upstream.
    H2c,
}

/// What a request needs of a connection to an upstream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Http1,
    Http2,
    /// HTTP/2 if it takes WebSockets, HTTP/1.1 otherwise.
    Socket,
}

impl Way {
    pub(crate) fn of(protocol: Protocol, is_socket: bool) -> Way {
        match (protocol, is_socket) {
            (Protocol::Http1, _) => Way::Http1,
            (Protocol::H2c, false) => Way::Http2,
            (Protocol::H2c, true) => Way::Socket,
        }
    }
}
