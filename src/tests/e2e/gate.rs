//! A point where something in a container waits for the test: it connects to us, and goes on when it is let.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use crate::docker::docker;
use crate::wait::{PATIENCE, wait_for};

/// A gate that stays shut until it is opened. Whoever waits when it is dropped fails.
pub(crate) struct Gate {
    listener: TcpListener,
    host: String,
}

/// The host, as containers and builds reach it.
#[track_caller]
fn bridge_address() -> String {
    let format = "{{with index .IPAM.Config 0}}{{.Gateway}},{{.Subnet}}{{end}}";
    let said = docker(&["network", "inspect", "bridge", "--format", format]);
    let (gateway, subnet) = said.succeeds().trim().split_once(',').expect("two facts");
    if !gateway.is_empty() {
        return gateway.to_owned();
    }
    // Docker 20.10 that found its bridge on the host does not name the gateway: it is the first address of the range.
    let (network, _) = subnet.split_once('/').expect("a range of addresses");
    let network: Ipv4Addr = network.parse().expect("the range of the bridge is IPv4");
    Ipv4Addr::from_bits(network.to_bits() | 1).to_string()
}

/// One that waits at a gate.
pub(crate) struct Arrived(TcpStream);

impl Gate {
    #[track_caller]
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind(("0.0.0.0", 0)).expect("a free port");
        listener
            .set_nonblocking(true)
            .expect("a listener can be set so");
        Self {
            listener,
            host: bridge_address(),
        }
    }

    /// A shell command that waits here, for images that have Python. It differs from gate to gate, so no cache holds it.
    pub(crate) fn command(&self) -> String {
        let port = self
            .listener
            .local_addr()
            .expect("a bound listener has an address")
            .port();
        let host = &self.host;
        format!(
            "python3 -c \"import socket; s = socket.create_connection(('{host}', {port})); assert s.recv(1), 'sent away'\""
        )
    }

    /// Waits until someone waits here.
    #[track_caller]
    pub(crate) fn wait_for_arrival(&self) -> Arrived {
        wait_for("someone at the gate", || self.newcomer())
    }

    /// Someone who waits here and was not seen before.
    pub(crate) fn newcomer(&self) -> Option<Arrived> {
        let (stream, _) = self.listener.accept().ok()?;
        stream
            .set_nonblocking(false)
            .expect("a stream can be set so");
        Some(Arrived(stream))
    }
}

impl Arrived {
    /// Lets it go on.
    pub(crate) fn open(mut self) {
        self.0.write_all(b"!").expect("it still waits");
    }

    /// Waits until it has been ended from outside.
    #[track_caller]
    pub(crate) fn wait_for_its_end(mut self) {
        self.0
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout can be set");
        let mut byte = [0];
        let read = self.0.read(&mut byte);
        let is_over = match &read {
            Ok(count) => *count == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        };
        assert!(is_over, "it still waits after {PATIENCE:?}: {read:?}");
    }
}
