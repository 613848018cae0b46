//! What can be looked at where no server runs: whether one could.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use super::{Doctor, Finding, Findings, Status};
use super::{clock, disk, firewall, folder, network, programs};
use crate::deploy::DiskFloor;
use crate::engine::ContainerEngine;
use crate::model::DomainName;
use crate::reconcile::holder;

/// What a server would do that does not run.
#[derive(Debug)]
pub struct Unserved {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Why it does not run, as far as that is known.
    pub why: String,
    /// Where it would listen.
    pub places: Vec<Place>,
    /// Its base domains.
    pub base_domains: Vec<DomainName>,
    /// What builds would need.
    pub disk_floor: DiskFloor,
}

/// One address a server would listen on.
#[derive(Debug)]
pub struct Place {
    /// `ssh`, `http` or `https`.
    pub role: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// What is to be done for another one.
    pub elsewhere: String,
}

impl Doctor {
    /// Whether this machine has what a server needs, where none runs. That alone is a failure.
    pub async fn without_server(
        self,
        unserved: &Unserved,
        engine: &dyn ContainerEngine,
    ) -> Findings {
        let dir = unserved.data_dir.display();
        let mut findings = vec![
            Finding::new(
                "server",
                Status::Failed,
                &unserved.why,
                format!(
                    "once the rest is well, start it: `systemctl start mini` (its log: `journalctl -u mini`), or `mini server --data-dir {dir}`"
                ),
            ),
            programs::docker(engine).await,
            programs::git().await,
        ];
        findings.extend(unserved.places.iter().map(held));
        let listeners: Vec<SocketAddr> = unserved.places.iter().map(|it| it.address).collect();
        findings.push(firewall::ufw(self.firewall, &listeners));
        findings.push(clock::clock(&unserved.data_dir).await);
        findings.push(folder::of_any_user(&unserved.data_dir));
        if unserved.data_dir.exists() {
            findings.extend(disk::all(&unserved.data_dir, unserved.disk_floor));
        }
        for domain in &unserved.base_domains {
            findings.push(network::base_domain(domain, None).await);
        }
        Findings(findings)
    }
}

/// Whether an address can be had.
fn held(place: &Place) -> Finding {
    let (check, address) = (format!("{} port", place.role), place.address);
    let taken = |holder: Option<String>| {
        let holder =
            holder.unwrap_or_else(|| "another program (`sudo mini doctor` says which)".to_owned());
        Finding::new(
            &check,
            Status::Failed,
            format!("{holder} listens on {address} already"),
            format!("stop it, or {}", place.elsewhere),
        )
    };
    match holder::of(address.port()) {
        // Its socket units keep the ports of a server that is down.
        Some(holder) if holder == "systemd (process 1)" => {
            Finding::ok(check, format!("{address}, kept open by systemd"))
        }
        Some(holder) => taken(Some(holder)),
        None => match TcpListener::bind(address) {
            Ok(_) => Finding::ok(check, format!("{address} is free")),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => taken(None),
            Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => Finding::new(
                check,
                Status::Failed,
                format!("{} is not an address of this machine", address.ip()),
                &place.elsewhere,
            ),
            // Ports below 1024 are for root; that nobody has it can be seen all the same.
            Err(_) => Finding::ok(check, format!("{address}, where nobody is seen to listen")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_another_has_is_told_with_who_it_is() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = Place {
            role: "http",
            address: other.local_addr().unwrap(),
            elsewhere: "choose another".to_owned(),
        };
        let finding = held(&place);
        assert_eq!(finding.status, Status::Failed);
        let me = format!(
            "(process {}) listens on {}",
            std::process::id(),
            place.address
        );
        assert!(finding.found.contains(&me), "{}", finding.found);
        assert_eq!(finding.remedy, "stop it, or choose another");
        drop(other);
        assert_eq!(held(&place).status, Status::Ok);
    }
}
