//! Whether the domains of apps lead here.

use futures_util::{StreamExt, stream};

use super::network::{Leads, another, elsewhere, leads, silent};
use super::probe::Probe;
use super::{Finding, Status};
use crate::commands::{Authorized, Platform};
use crate::model::{DomainName, Problem};

/// How many names are looked up; one who has more watches them otherwise.
const LOOKED_UP: usize = 200;
/// How many at a time.
const AT_ONCE: usize = 16;

/// Each domain of an app that leads nowhere or elsewhere; in one line those that lead here. Names under a base domain are left
/// out, for they were looked at with it.
pub(super) async fn all(
    platform: &Platform,
    authorized: &Authorized,
    probe: Option<&Probe>,
) -> Result<Vec<Finding>, Problem> {
    let mut names = Vec::new();
    for app in authorized.visible_apps(platform).await? {
        let exposure = platform.store.exposure(app.id).await?;
        if exposure.is_public {
            names.extend(exposure.own);
        }
    }
    names.retain(|name| is_looked_up(name, &platform.facts.base_domains));
    let left_out = names.len().saturating_sub(LOOKED_UP);
    names.truncate(LOOKED_UP);
    let found: Vec<(DomainName, Leads)> = stream::iter(names)
        .map(|name| async {
            let answer = leads(&asked_for(&name), probe).await;
            (name, answer)
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    Ok(findings(found, left_out))
}

/// Names that only this machine knows, and those under a base domain, say nothing.
fn is_looked_up(name: &DomainName, bases: &[DomainName]) -> bool {
    let under = |base: &str| {
        name.as_str()
            .strip_suffix(base)
            .is_some_and(|front| front.is_empty() || front.ends_with('.'))
    };
    !under("localhost") && !bases.iter().any(|base| under(base.as_str()))
}

/// For a wildcard some label that has no record of its own.
fn asked_for(name: &DomainName) -> String {
    name.as_str().replacen('*', "mini-doctor", 1)
}

fn findings(found: Vec<(DomainName, Leads)>, left_out: usize) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut here = 0;
    for (name, leads) in found {
        let check = format!("domain {name}");
        let record = format!(
            "make a DNS record `{name}` with the address of this server, or `domains:remove` it"
        );
        findings.push(match leads {
            Leads::Here(_) | Leads::Routed(_) => {
                here += 1;
                continue;
            }
            Leads::Elsewhere(shown) => elsewhere(check, "", &shown, &record),
            Leads::Another(shown) => another(check, "", &shown, &record),
            // Visitors were promised it.
            Leads::Nowhere => Finding::new(check, Status::Failed, "has no address", record),
            Leads::NoAnswer => silent(check),
        });
    }
    if here > 0 || left_out > 0 {
        let mut text = format!("{here} lead here");
        if left_out > 0 {
            text.push_str(&format!(", {left_out} more were not looked up"));
        }
        findings.insert(0, Finding::ok("domains", text));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_and_under_base_domains_are_left_out() {
        let bases = ["apps.test".parse().unwrap()];
        for (name, expected) in [
            ("shop.test", true),
            ("*.shop.test", true),
            ("myapps.test", true),
            ("shop.apps.test", false),
            ("shop.localhost", false),
        ] {
            assert_eq!(
                is_looked_up(&name.parse().unwrap(), &bases),
                expected,
                "{name}"
            );
        }
        assert_eq!(
            asked_for(&"*.shop.test".parse().unwrap()),
            "mini-doctor.shop.test"
        );
    }

    #[test]
    fn names_that_lead_elsewhere_are_told_one_by_one() {
        let name = |name: &str| name.parse::<DomainName>().unwrap();
        let found = vec![
            (name("a.test"), Leads::Here("192.0.2.1".to_owned())),
            (name("b.test"), Leads::Nowhere),
            (name("c.test"), Leads::Elsewhere("192.0.2.9".to_owned())),
            (name("d.test"), Leads::Routed("192.0.2.8".to_owned())),
            (name("e.test"), Leads::Another("192.0.2.7".to_owned())),
        ];
        let shown: Vec<(String, Status, String)> = findings(found, 3)
            .into_iter()
            .map(|finding| (finding.check, finding.status, finding.found))
            .collect();
        let expected = [
            (
                "domains",
                Status::Ok,
                "2 lead here, 3 more were not looked up",
            ),
            ("domain b.test", Status::Failed, "has no address"),
            (
                "domain c.test",
                Status::Warning,
                "leads to 192.0.2.9, which is not an address of this machine",
            ),
            (
                "domain e.test",
                Status::Failed,
                "leads to 192.0.2.7, where another server answers",
            ),
        ];
        assert_eq!(
            shown,
            expected.map(|(check, status, found)| (check.to_owned(), status, found.to_owned()))
        );
    }
}
