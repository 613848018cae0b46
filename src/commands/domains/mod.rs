//! `domains:*`: the host names an app answers at, its own and those in front of the server's.

mod add;
mod clear;
mod disable;
mod enable;
mod global;
mod remove;
mod report;
mod reset;
mod set;

pub use add::Add;
pub use clear::Clear;
pub use disable::Disable;
pub use enable::Enable;
pub use global::{AddGlobal, ClearGlobal, GlobalDomains, RemoveGlobal, SetGlobal};
pub use remove::Remove;
pub use report::Report;
pub use reset::Reset;
pub use set::Set;

use serde::Serialize;

use crate::commands::{Output, Page, Platform};
use crate::model::{Address, App, AppName, DomainName, InvalidName, Kind, Problem};

/// Reads a domain as people type it: in any case, in any script, with or without the dot at the end.
pub(super) fn typed(text: &str) -> Result<DomainName, InvalidName> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_ascii() {
        return text.to_lowercase().parse();
    }
    let (wildcard, name) = match text.strip_prefix("*.") {
        Some(name) => ("*.", name),
        None => ("", text),
    };
    let ascii = idna::domain_to_ascii(name).map_err(|_| InvalidName {
        what: "domain",
        rule: "This name cannot be written in the ASCII form (`xn--`) that DNS uses",
    })?;
    format!("{wildcard}{ascii}").parse()
}

/// Reads an address as people type it: its domain as [`typed`] does, its path as it is.
pub(super) fn typed_address(text: &str) -> Result<Address, InvalidName> {
    match text.find('/') {
        None => typed(text)?.as_str().parse(),
        Some(0) => text.parse(),
        Some(at) => {
            let (domain, path) = text.split_at_checked(at).unwrap_or((text, ""));
            format!("{}{path}", typed(domain)?).parse()
        }
    }
}

/// The domains an app has for its own after a change.
#[derive(Debug, Serialize)]
pub struct OwnDomains {
    app: AppName,
    domains: Vec<DomainName>,
}

impl Output for OwnDomains {
    fn print(&self, _page: &mut Page) {}
}

/// `shop.example.com` belongs to the app `shop` where `example.com` is a domain of the server.
pub(super) async fn refuse_address_of_other_app(
    platform: &Platform,
    app: &App,
    domain: &DomainName,
) -> Result<(), Problem> {
    let added = platform.store.global_domains().await?;
    for base in platform.facts.base_domains.iter().chain(&added) {
        let owner = domain
            .as_str()
            .strip_suffix(base.as_str())
            .and_then(|rest| rest.strip_suffix('.'))
            .and_then(|name| name.parse::<AppName>().ok());
        if let Some(owner) = owner
            && owner != app.name
            && platform.store.app(&owner).await?.is_some()
        {
            return Err(Problem::new(
                Kind::Taken,
                format!("{domain} is already taken"),
                format!("every app answers at its name in front of {base}, and {owner} is an app"),
                format!("Choose another name, or rename the app: `apps:rename {owner} NEW-NAME`"),
            ));
        }
    }
    Ok(())
}

pub(super) fn taken(domain: &str, by: Option<&AppName>) -> Problem {
    let (why, next) = match by {
        Some(by) => (
            format!("it belongs to the app {by}"),
            format!(
                "Remove it there first: `domains:remove {by} {domain}`, or `redirects:unset {by} {domain}` if it is a redirect"
            ),
        ),
        None => (String::new(), String::new()),
    };
    Problem::new(Kind::Taken, format!("{domain} is already taken"), why, next)
}

#[cfg(test)]
mod tests {
    use super::{typed, typed_address};

    #[test]
    fn domains_are_read_as_people_type_them() {
        let shown = |text: &str| typed(text).map(|name| name.to_string()).ok();
        assert_eq!(
            shown("Shop.Example.COM.").as_deref(),
            Some("shop.example.com")
        );
        assert_eq!(shown("*.Shop.test").as_deref(), Some("*.shop.test"));
        assert_eq!(
            shown("Bücher.example").as_deref(),
            Some("xn--bcher-kva.example")
        );
        assert_eq!(shown("*.例え.jp").as_deref(), Some("*.xn--r8jz45g.jp"));
        for refused in ["", ".", "a b", "http://x", "a..ü", "ü/x", "\u{200b}.test"] {
            assert_eq!(shown(refused), None, "{refused:?}");
        }
        let shown = |text: &str| typed_address(text).map(|address| address.to_string()).ok();
        assert_eq!(
            shown("Bücher.example/API").as_deref(),
            Some("xn--bcher-kva.example/API")
        );
        assert_eq!(shown("/API/").as_deref(), Some("/API"));
        assert_eq!(shown("Shop.test").as_deref(), Some("shop.test"));
        assert_eq!(shown("/"), None);
    }
}
