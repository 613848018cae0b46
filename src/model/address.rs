//! Addresses of apps: the names they answer at, and what of them leads elsewhere.

use std::fmt;
use std::str::FromStr;

use mini_proxy::{Destination, PathPrefix};
use serde::{Deserialize, Serialize};

use super::{AppId, AppName, DomainName, InvalidName, ProcessType};

/// The names an app is to answer at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// Its own domains, in alphabetical order.
    pub own: Vec<DomainName>,
    /// The server's domains that were added to those of the settings; the app answers one label in front of each.
    pub global: Vec<DomainName>,
    /// Whether visitors reach it at all; without, it only runs.
    pub is_public: bool,
    /// Whether it answers at `<app>.<global domain>`, too.
    pub has_global: bool,
}

impl Default for Exposure {
    /// Reached, and without a domain of its own.
    fn default() -> Self {
        Self {
            own: Vec::new(),
            global: Vec::new(),
            is_public: true,
            has_global: true,
        }
    }
}

impl Exposure {
    /// All names of `app`, the one to show first: its own domains, its name where that is a domain, then `<app>.<base>`
    /// for the `bases` of the settings and the domains added to them.
    pub fn names(&self, app: &AppName, bases: &[DomainName]) -> Vec<DomainName> {
        if !self.is_public {
            return Vec::new();
        }
        let mut names = self.own.clone();
        if self.has_global {
            names.extend(default_names(app, bases, &self.global));
        }
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }
}

/// The names an app has without anybody giving it one.
fn default_names(app: &AppName, bases: &[DomainName], added: &[DomainName]) -> Vec<DomainName> {
    let mut names = Vec::new();
    if app.as_str().contains('.') {
        names.extend(app.as_str().parse());
    }
    let each = bases.iter().chain(added);
    names.extend(each.filter_map(|base| format!("{app}.{base}").parse().ok()));
    names
}

/// What a person types for addresses of an app: `shop.example.com`, `shop.example.com/api`, or `/api` for all of its
/// domains.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// The domain; all of the app's when it is not given.
    pub domain: Option<DomainName>,
    /// The beginning of the paths; all paths when it is not given.
    pub path: Option<PathPrefix>,
}

impl FromStr for Address {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = |rule| InvalidName {
            what: "address",
            rule,
        };
        let (domain, path) = match text.find('/') {
            Some(at) => text.split_at_checked(at).unwrap_or((text, "")),
            None => (text, ""),
        };
        let domain = (!domain.is_empty()).then(|| domain.parse()).transpose()?;
        let path = match path {
            "" | "/" => None,
            path => Some(path.parse::<PathPrefix>().map_err(|_| {
                invalid("A path is segments such as `/api/v2`, without `%`, `;`, `?`, `.` and `..`")
            })?),
        };
        if domain.is_none() && path.is_none() {
            return Err(invalid(
                "An address is a domain, a path or both: `shop.example.com`, `/api`, `shop.example.com/api`",
            ));
        }
        Ok(Self { domain, path })
    }
}

impl TryFrom<String> for Address {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(domain) = &self.domain {
            domain.fmt(f)?;
        }
        match &self.path {
            Some(path) => path.fmt(f),
            None => Ok(()),
        }
    }
}

/// An address of one app that leads to processes of another type, or of another app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The app whose address it is.
    pub app: AppId,
    /// The address.
    pub address: Address,
    /// The app that answers.
    pub to: AppId,
    /// The type of its processes that answer.
    pub process_type: ProcessType,
    /// Whether they get requests without the path of the address.
    pub is_stripped: bool,
}

/// An address of an app that sends visitors elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppRedirect {
    /// The app whose address it is.
    pub app: AppId,
    /// The address; its domain need not be one of the app's domains.
    pub address: Address,
    /// Where to.
    pub to: Destination,
    /// 301, 302, 307 or 308.
    pub code: u16,
}

#[cfg(test)]
mod tests {
    use super::{Address, Exposure};
    use crate::model::DomainName;

    fn names(list: &[&str]) -> Vec<DomainName> {
        list.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn check(exposure: &Exposure, app: &str, expected: &[&str]) {
        let bases = names(&["localhost"]);
        let found = exposure.names(&app.parse().unwrap(), &bases);
        assert_eq!(found, names(expected), "{app}");
    }

    #[test]
    fn an_app_answers_at_its_domains_and_in_front_of_the_servers() {
        let exposure = Exposure {
            own: names(&["*.shop.test", "shop.test"]),
            global: names(&["apps.test", "localhost"]),
            ..Exposure::default()
        };
        let expected = [
            "*.shop.test",
            "shop.test",
            "shop.localhost",
            "shop.apps.test",
        ];
        check(&exposure, "shop", &expected);
        check(
            &Exposure::default(),
            "shop.test",
            &["shop.test", "shop.test.localhost"],
        );
        let only_own = Exposure {
            has_global: false,
            ..exposure.clone()
        };
        check(&only_own, "shop", &["*.shop.test", "shop.test"]);
        let hidden = Exposure {
            is_public: false,
            ..exposure
        };
        check(&hidden, "shop", &[]);
    }

    #[test]
    fn an_address_is_a_domain_a_path_or_both() {
        for (text, shown) in [
            ("shop.test", "shop.test"),
            ("shop.test/", "shop.test"),
            ("/api", "/api"),
            ("*.shop.test/api/v2/", "*.shop.test/api/v2"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "/",
            "//",
            "shop.test/../x",
            "/a%20b",
            "Shop",
            "http://x",
            "a b",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }
}
