//! `domains:*-global`: the domains of the server, in front of which every app answers. Those of the settings stay; these
//! commands are about what is added to them.

mod add;
mod clear;
mod remove;
mod set;

pub use add::AddGlobal;
pub use clear::ClearGlobal;
pub use remove::RemoveGlobal;
pub use set::SetGlobal;

use serde::Serialize;

use super::typed;
use crate::commands::{Output, Page, Platform};
use crate::model::{DomainName, InvalidName, Problem};

/// The domains of the server after a change.
#[derive(Debug, Serialize)]
pub struct GlobalDomains {
    /// From the settings.
    settings: Vec<DomainName>,
    /// Added by commands.
    added: Vec<DomainName>,
}

impl GlobalDomains {
    /// As they are now.
    pub(super) async fn now(platform: &Platform) -> Result<Self, Problem> {
        Ok(Self {
            settings: platform.facts.base_domains.clone(),
            added: platform.store.global_domains().await?,
        })
    }

    /// All of them, in the order in which apps show their names.
    pub(super) fn all(&self) -> impl Iterator<Item = &DomainName> {
        let added = self.added.iter();
        let added = added.filter(|domain| !self.settings.contains(domain));
        self.settings.iter().chain(added)
    }
}

impl Output for GlobalDomains {
    fn print(&self, _page: &mut Page) {}
}

/// Waits until the routes follow, and answers what there is now.
async fn followed(platform: &Platform) -> Result<GlobalDomains, Problem> {
    platform.reconciler.wait_for(|_| true).await;
    GlobalDomains::now(platform).await
}

/// Reads a domain in front of which apps are to answer.
fn typed_base(text: &str) -> Result<DomainName, InvalidName> {
    let name = typed(text)?;
    if name.is_wildcard() {
        return Err(InvalidName {
            what: "domain",
            rule: "Give the domain without `*.`: every app answers one label in front of it",
        });
    }
    Ok(name)
}
