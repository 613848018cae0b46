//! Ports of apps that are not open.

use std::collections::BTreeMap;

use super::{Finding, Status};
use crate::commands::{Authorized, Platform};
use crate::model::Problem;

/// Each port of an app that should be open and is not, with why; in one line those that are.
pub(super) async fn all(
    platform: &Platform,
    authorized: &Authorized,
) -> Result<Vec<Finding>, Problem> {
    let view = platform.reconciler.view();
    let closed = view.borrow().closed_ports.clone();
    let mut apps: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for app in authorized.visible_apps(platform).await? {
        for mapping in platform.store.ports(app.id).await? {
            let of_port = apps.entry(mapping.host_port).or_default();
            of_port.push(app.name.to_string());
        }
    }
    let open = platform.proxy.open_ports();
    let open: Vec<String> = open.iter().map(|open| open.port.to_string()).collect();
    Ok(findings(&open, &closed, &apps))
}

fn findings(
    open: &[String],
    closed: &BTreeMap<u16, String>,
    apps: &BTreeMap<u16, Vec<String>>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !open.is_empty() {
        findings.push(Finding::ok("ports of apps", open.join(", ")));
    }
    for (port, why) in closed {
        let Some(apps) = apps.get(port) else { continue };
        findings.push(Finding::new(
            format!("port {port} of {}", apps.join(", ")),
            Status::Failed,
            why,
            format!("free it, or give the app another: `ports:remove APP {port}`; it is tried again meanwhile"),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_port_is_told_with_its_apps_and_why() {
        assert!(findings(&[], &BTreeMap::new(), &BTreeMap::new()).is_empty());
        let why = "nginx (process 812) listens there already";
        let closed = BTreeMap::from([(8080, why.to_owned()), (8081, why.to_owned())]);
        let apps = BTreeMap::from([(8080, vec!["blog".to_owned(), "shop".to_owned()])]);
        let found = findings(&["9000".to_owned(), "9001".to_owned()], &closed, &apps);
        let shown: Vec<(&str, Status, &str)> = found
            .iter()
            .map(|it| (it.check.as_str(), it.status, it.found.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("ports of apps", Status::Ok, "9000, 9001"),
                ("port 8080 of blog, shop", Status::Failed, why),
            ]
        );
    }
}
