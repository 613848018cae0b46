//! Where something listens inside a container, read from the kernel through its first process.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bollard::query_parameters::InspectContainerOptions;

use super::Inner;
use super::errors::About;
use crate::engine::{EngineError, ProcessId};

/// Docker's own resolver listens here in every container with a user-defined network.
const DOCKER_RESOLVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));
/// The state LISTEN in the kernel's tables (`TCP_LISTEN` in `include/net/tcp_states.h`).
const LISTEN: &str = "0A";

impl Inner {
    pub(super) async fn listening(&self, id: &ProcessId) -> Result<Vec<SocketAddr>, EngineError> {
        let docker = self.connection.client().await?;
        let facts = docker
            .inspect_container(&id.0, None::<InspectContainerOptions>)
            .await
            .map_err(|error| self.connection.error(error, About::Container(&id.0)))?;
        let Some(pid) = facts
            .state
            .and_then(|state| state.pid)
            .filter(|pid| *pid > 0)
        else {
            return Ok(Vec::new());
        };
        let mut addresses = Vec::new();
        for table in ["tcp", "tcp6"] {
            // Not readable where Docker is in another machine or name space: then it cannot be found out.
            let text = tokio::fs::read_to_string(format!("/proc/{pid}/net/{table}"))
                .await
                .unwrap_or_default();
            addresses.extend(listeners(&text));
        }
        addresses.sort();
        addresses.dedup();
        Ok(addresses)
    }
}

/// The listening addresses in a table of `/proc/<pid>/net`, without Docker's resolver.
fn listeners(table: &str) -> impl Iterator<Item = SocketAddr> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            let local = fields.next()?;
            let _remote = fields.next()?;
            (fields.next()? == LISTEN).then_some(local)
        })
        .filter_map(address)
        .filter(|address| address.ip() != DOCKER_RESOLVER)
}

/// `0100007F:1F90`: the address as 32-bit words in the byte order of the machine, the port as a plain number.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words = host
        .as_bytes()
        .chunks(8)
        .map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok())
        .collect::<Option<Vec<_>>>()?;
    let ip = match words.as_slice() {
        [word] => IpAddr::V4(Ipv4Addr::from(word.to_ne_bytes())),
        [a, b, c, d] => {
            let mut bytes = [0_u8; 16];
            for (slot, word) in bytes.chunks_mut(4).zip([a, b, c, d]) {
                slot.copy_from_slice(&word.to_ne_bytes());
            }
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_addresses_are_taken() {
        let table = "  sl  local_address rem_address   st tx_queue\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n\
            1: 00000000:1388 00000000:0000 0A 00000000:00000000\n\
            2: 0B00007F:A001 00000000:0000 0A 00000000:00000000\n\
            3: 0100007F:1F91 0100007F:1F90 01 00000000:00000000\n\
            4: broken\n";
        let found: Vec<_> = listeners(table).map(|a| a.to_string()).collect();
        assert_eq!(found, ["127.0.0.1:8080", "0.0.0.0:5000"]);
        let table6 = "sl\n0: 00000000000000000000000000000000:0050 x 0A\n\
            1: 00000000000000000000000001000000:0051 x 0A\n";
        let found: Vec<_> = listeners(table6).map(|a| a.to_string()).collect();
        assert_eq!(found, ["[::]:80", "[::1]:81"]);
    }
}
