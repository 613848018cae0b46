//! `doctor`: whether this machine has what mini needs.

mod backups;
mod build_memory;
mod certificates;
mod clock;
mod disk;
mod domains;
mod firewall;
mod folder;
mod images;
mod network;
mod orphans;
mod ports;
mod probe;
mod programs;
mod unserved;

use std::net::SocketAddr;

use clap::Args;
use serde::{Deserialize, Serialize};

pub use self::unserved::{Place, Unserved};
use super::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{Permission, Problem};

/// Check that this server has what it needs; exit with 1 if something is wrong
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doctor {
    /// Where the caller is root on the server's machine, and the server is not.
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    firewall: Option<firewall::Rules>,
}

impl Doctor {
    /// The same with what the caller may read of this machine and the server perhaps may not.
    pub fn with_files(self) -> Self {
        let firewall = firewall::Rules::read();
        Self { firewall }
    }
}

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// As it should be.
    Ok,
    /// Works, but may not for long or not as meant.
    Warning,
    /// Does not work.
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    check: String,
    status: Status,
    found: String,
    remedy: String,
}

impl Finding {
    fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(check, Status::Ok, found, "")
    }

    fn new(
        check: impl Into<String>,
        status: Status,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            check: check.into(),
            status,
            found: found.into(),
            remedy: remedy.into(),
        }
    }
}

/// All that was looked at.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Findings(Vec<Finding>);

impl Command for Doctor {
    type Output = Findings;

    fn permission(&self) -> Permission {
        Permission::Anyone
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        _dialog: &mut Dialog,
    ) -> Result<Findings, Problem> {
        let mut findings = vec![
            programs::docker(platform.engine.as_ref()).await,
            programs::git().await,
        ];
        let facts = &platform.facts;
        findings.extend(network::listeners(facts));
        findings.extend(ports::all(platform, authorized).await?);
        findings.push(firewall::ufw(self.firewall, &public_listeners(platform)));
        findings.push(clock::clock(&facts.data_dir).await);
        findings.push(folder::data_dir(&facts.data_dir));
        let floor = platform.deploys.disk_floor();
        findings.extend(disk::all(&facts.data_dir, floor));
        let probe = probe_of(platform);
        for domain in &facts.base_domains {
            findings.push(network::base_domain(domain, probe.as_ref()).await);
        }
        findings.extend(build_memory::all(platform, authorized).await?);
        findings.push(backups::standing_of(platform).await?);
        findings.extend(images::all(platform, authorized).await?);
        findings.extend(domains::all(platform, authorized, probe.as_ref()).await?);
        findings.extend(certificates::all(platform, authorized).await?);
        findings.extend(orphans::all(platform).await?);
        Ok(Findings(findings))
    }
}

/// What names that lead to another address are asked for. None where certificates are ordered: each order says where its name leads.
fn probe_of(platform: &Platform) -> Option<probe::Probe> {
    let facts = &platform.facts;
    let port = facts.http.first().map(SocketAddr::port)?;
    match facts.certificate_authority {
        Some(_) => None,
        None => probe::Probe::show(&platform.proxy, port),
    }
}

/// What visitors and those who push connect to.
fn public_listeners(platform: &Platform) -> Vec<SocketAddr> {
    let facts = &platform.facts;
    let open = platform.proxy.open_ports();
    let of_apps = open.iter().flat_map(|open| open.addresses.clone());
    let own = [&facts.ssh, &facts.http, &facts.https]
        .into_iter()
        .flatten()
        .copied();
    own.chain(of_apps).collect()
}

impl Output for Findings {
    fn print(&self, page: &mut Page) {
        let width = self.0.iter().map(|f| f.check.len()).max().unwrap_or(0);
        for finding in &self.0 {
            let word = match finding.status {
                Status::Ok => page.paint(32, "ok     "),
                Status::Warning => page.paint(33, "warning"),
                Status::Failed => page.paint(31, "failed "),
            };
            let remedy = if finding.remedy.is_empty() {
                String::new()
            } else {
                format!("; {}", finding.remedy)
            };
            page.line(format!(
                "{word}  {:<width$}  {}{remedy}",
                finding.check, finding.found
            ));
        }
    }

    fn exit_code(&self) -> u8 {
        u8::from(
            self.0
                .iter()
                .any(|finding| finding.status == Status::Failed),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_is_one_line_with_its_remedy() {
        let findings = Findings(vec![
            Finding::ok("git", "2.47.0"),
            Finding::new("docker", Status::Failed, "does not answer", "start it"),
        ]);
        let mut page = Page::default();
        findings.print(&mut page);
        assert_eq!(
            page.to_text(),
            "ok       git     2.47.0\nfailed   docker  does not answer; start it\n"
        );
        assert_eq!(findings.exit_code(), 1);
        assert_eq!(
            serde_json::to_string(&findings.0[0]).unwrap(),
            r#"{"check":"git","status":"ok","found":"2.47.0","remedy":""}"#
        );
    }
}
