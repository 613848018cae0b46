//! What was decided about the requests of one app, beyond where they go.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::{InvalidName, Network, ProxyOptions, Secret, Timestamp, UserName};

/// How the proxy treats the requests of an app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppProxy {
    /// What `proxy:set` knows.
    pub options: ProxyOptions,
    /// Set while visitors are told to come back later.
    pub maintenance: Option<Maintenance>,
    /// Who has to give a password.
    pub auth: HttpAuth,
    /// HTML in place of the proxy's pages.
    pub pages: BTreeMap<PageName, Arc<str>>,
}

/// Visitors are told to come back later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// Since when.
    pub since: Timestamp,
    /// What they are told; whole seconds, at least one.
    pub retry_after: Duration,
    /// Who may pass all the same.
    pub allow: Vec<Network>,
}

/// The password an app asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpAuth {
    /// Whether it asks.
    pub is_on: bool,
    /// Who may pass, with the hashes of their passwords.
    pub users: BTreeMap<UserName, Secret>,
}

/// Which page is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageName {
    /// The one shown during maintenance.
    Maintenance,
    /// The one for a fault with this status; one of [`PageName::STATUSES`].
    Status(u16),
}

impl PageName {
    /// The statuses of the faults the proxy meets on the way to an app.
    pub const STATUSES: &'static [u16] = &[401, 403, 404, 413, 429, 502, 503, 504];
}

impl FromStr for PageName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text == "maintenance" {
            return Ok(PageName::Maintenance);
        }
        let status = PageName::STATUSES
            .iter()
            .find(|status| status.to_string() == text);
        status
            .map(|status| PageName::Status(*status))
            .ok_or(InvalidName {
                what: "page",
                rule: "There are pages for 401, 403, 404, 413, 429, 502, 503 and 504",
            })
    }
}

impl fmt::Display for PageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PageName::Maintenance => f.write_str("maintenance"),
            PageName::Status(status) => write!(f, "{status}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_names_are_read_as_they_are_shown() {
        for status in PageName::STATUSES {
            let name = PageName::Status(*status);
            assert_eq!(name.to_string().parse::<PageName>(), Ok(name));
            let rule = "x".parse::<PageName>().unwrap_err().rule;
            assert!(rule.contains(&status.to_string()), "{rule}");
        }
        assert_eq!("maintenance".parse(), Ok(PageName::Maintenance));
        for bad in ["", "200", "500", "+502", "99999999"] {
            let read = bad.parse::<PageName>();
            assert!(read.is_err(), "{bad}");
        }
    }
}
