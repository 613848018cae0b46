//! Listeners and names.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use super::probe::{Answer, Probe};
use super::{Finding, Status};
use crate::commands::ServerFacts;
use crate::model::DomainName;

/// How long the name servers may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the server listens. It would not run without its ports, so this only tells.
pub(super) fn listeners(facts: &ServerFacts) -> Vec<Finding> {
    let always = [("ssh port", &facts.ssh), ("http port", &facts.http)];
    // HTTPS can be turned off, and is no fault then.
    let https = Some(("https port", &facts.https)).filter(|(_, addresses)| !addresses.is_empty());
    always
        .into_iter()
        .chain(https)
        .map(|(check, addresses)| {
            let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
            if addresses.is_empty() {
                Finding::new(
                    check,
                    Status::Warning,
                    "nothing listens",
                    "give the server an address to listen on",
                )
            } else {
                Finding::ok(check, addresses.join(", "))
            }
        })
        .collect()
}

/// Whether any name under a base domain leads here.
pub(super) async fn base_domain(base: &DomainName, probe: Option<&Probe>) -> Finding {
    let check = format!("base domain {base}");
    if base.as_str() == "localhost" || base.as_str().ends_with(".localhost") {
        return Finding::ok(
            check,
            "names under localhost lead to this machine (RFC 6761)",
        );
    }
    // Some label that has no record of its own.
    let name = format!("mini-doctor.{base}");
    let record = format!("make a DNS record `*.{base}` with the address of this server");
    match leads(&name, probe).await {
        Leads::NoAnswer => silent(check),
        Leads::Nowhere => Finding::new(
            check,
            Status::Failed,
            format!("{name} has no address"),
            record,
        ),
        Leads::Here(shown) => Finding::ok(check, format!("{name} leads here ({shown})")),
        Leads::Routed(shown) => Finding::ok(check, format!("{name} leads here by way of {shown}")),
        Leads::Elsewhere(shown) => elsewhere(check, &format!("{name} "), &shown, &record),
        Leads::Another(shown) => another(check, &format!("{name} "), &shown, &record),
    }
}

/// A name whose address is not of this machine, and nobody could be asked there.
pub(super) fn elsewhere(check: String, name: &str, shown: &str, record: &str) -> Finding {
    Finding::new(
        check,
        Status::Warning,
        format!("{name}leads to {shown}, which is not an address of this machine"),
        format!("fine behind a router or load balancer that forwards to it, else {record}"),
    )
}

/// A name that leads to another server.
pub(super) fn another(check: String, name: &str, shown: &str, record: &str) -> Finding {
    Finding::new(
        check,
        Status::Failed,
        format!("{name}leads to {shown}, where another server answers"),
        record,
    )
}

/// Where a name leads; the addresses as they are shown.
pub(super) enum Leads {
    Here(String),
    /// To an address that is not of this machine, and from there to this server.
    Routed(String),
    /// To an address that is not of this machine; who is there could not be asked.
    Elsewhere(String),
    /// To an address where another server answers.
    Another(String),
    Nowhere,
    NoAnswer,
}

pub(super) async fn leads(name: &str, probe: Option<&Probe>) -> Leads {
    let lookup = tokio::net::lookup_host((name, 80));
    let addresses: Vec<IpAddr> = match tokio::time::timeout(PATIENCE, lookup).await {
        Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
        Ok(Err(_)) => Vec::new(),
        Err(_) => return Leads::NoAnswer,
    };
    let mut shown: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    shown.dedup();
    let shown = shown.join(", ");
    if addresses.is_empty() {
        Leads::Nowhere
    } else if addresses.iter().copied().any(is_ours) {
        Leads::Here(shown)
    } else {
        let answer = match probe {
            Some(probe) => probe.ask(name, &addresses).await,
            None => Answer::Nobody,
        };
        match answer {
            Answer::Us => Leads::Routed(shown),
            Answer::Another => Leads::Another(shown),
            Answer::Nobody => Leads::Elsewhere(shown),
        }
    }
}

pub(super) fn silent(check: String) -> Finding {
    Finding::new(
        check,
        Status::Warning,
        "the name servers do not answer",
        "check /etc/resolv.conf",
    )
}

/// Whether an address belongs to this machine: only then can a socket be bound to it.
fn is_ours(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_address_is_ours_and_a_documentation_address_is_not() {
        assert!(is_ours(IpAddr::from([127, 0, 0, 1])));
        assert!(!is_ours(IpAddr::from([192, 0, 2, 1])));
    }

    #[tokio::test]
    async fn localhost_needs_no_name_server() {
        let finding = base_domain(&"localhost".parse().unwrap(), None).await;
        assert_eq!(finding.status, Status::Ok);
    }
}
