//! Names a public authority can certify, and why others are left out.

use crate::host::{Host, HostError};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A name a certificate is ordered for: a host name, or a wildcard such as `*.apps.example.com`.
///
/// Made with [`FromStr`], which refuses what no public authority certifies. Lower case, no trailing dot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CertName(Box<str>);

/// Why no certificate is ordered for a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameRefused {
    /// An IP address: authorities certify names.
    #[error("it is an address, and certificates are for names")]
    Address,
    /// `localhost`, a name below it, or below `invalid`: they mean the visitor's own machine, or nothing
    /// (RFC 6761 sections 6.3 and 6.4).
    #[error("it means the machine of whoever asks")]
    Local,
    /// No dot in it: known inside one network at most.
    #[error("it has no dot, so that it is known inside one network at most")]
    SingleLabel,
    /// An underscore, which certificates may not name (CA/Browser Forum ballot SC12).
    #[error("it has an underscore, which certificates may not name")]
    Underscore,
    /// Not a host name at all.
    #[error(transparent)]
    NotAName(#[from] HostError),
}

impl CertName {
    /// The name, lower case, a wildcard with its `*.`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a wildcard: only DNS-01 proves one (RFC 8555 section 7.1.3).
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// The name an authority validates: that of a wildcard without its `*.` (RFC 8555 section 7.1.4).
    pub fn validated(&self) -> &str {
        self.0.strip_prefix("*.").unwrap_or(&self.0)
    }

    /// Whether a certificate for this name serves the other as well: the same name, or a wildcard one
    /// label above it (RFC 9525 section 6.3).
    pub fn covers(&self, other: &CertName) -> bool {
        if self == other {
            return true;
        }
        let Some(parent) = self.0.strip_prefix("*.") else {
            return false;
        };
        let above = other.0.split_once('.').map(|(_, above)| above);
        !other.is_wildcard() && above == Some(parent)
    }
}

impl FromStr for CertName {
    type Err = NameRefused;

    fn from_str(text: &str) -> Result<CertName, NameRefused> {
        let (star, below) = match text.strip_prefix("*.") {
            Some(below) => ("*.", below),
            None => ("", text),
        };
        let host: Host = below.parse()?;
        let name = host.as_str();
        if name.starts_with('[') || name.parse::<Ipv4Addr>().is_ok() {
            return Err(NameRefused::Address);
        }
        match name.rsplit('.').next() {
            Some("localhost" | "invalid") => return Err(NameRefused::Local),
            Some(_) if !name.contains('.') => return Err(NameRefused::SingleLabel),
            _ if name.contains('_') => return Err(NameRefused::Underscore),
            _ => {}
        }
        Ok(CertName(format!("{star}{name}").into()))
    }
}

impl fmt::Display for CertName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{CertName, NameRefused};
    use crate::host::HostError;

    fn check(text: &str, expected: Result<&str, NameRefused>) {
        let name = text.parse::<CertName>();
        let name = name.as_ref().map(CertName::as_str).map_err(|error| *error);
        assert_eq!(name, expected, "{text:?}");
    }

    #[test]
    fn only_names_an_authority_certifies_are_taken() {
        check("Shop.Example.com.", Ok("shop.example.com"));
        check("*.apps.example.com", Ok("*.apps.example.com"));
        check("shop.203.0.113.9.nip.io", Ok("shop.203.0.113.9.nip.io"));
        check("shop.203-0-113-9.sslip.io", Ok("shop.203-0-113-9.sslip.io"));
        check("shop.apps.test", Ok("shop.apps.test"));
        check("203.0.113.9", Err(NameRefused::Address));
        check("[2001:db8::1]", Err(NameRefused::Address));
        check("localhost", Err(NameRefused::Local));
        check("shop.localhost", Err(NameRefused::Local));
        check("*.localhost", Err(NameRefused::Local));
        check("nothing.invalid", Err(NameRefused::Local));
        check("shop", Err(NameRefused::SingleLabel));
        check("*.com", Err(NameRefused::SingleLabel));
        check("my_shop.example.com", Err(NameRefused::Underscore));
        check("", Err(NameRefused::NotAName(HostError::Empty)));
        check("*", Err(NameRefused::NotAName(HostError::Invalid)));
        check("a.*.com", Err(NameRefused::NotAName(HostError::Invalid)));
    }

    fn check_covers(certificate: &str, name: &str, expected: bool) {
        let parse = |text: &str| text.parse::<CertName>().unwrap();
        let covers = parse(certificate).covers(&parse(name));
        assert_eq!(covers, expected, "{certificate} for {name}");
    }

    #[test]
    fn a_wildcard_covers_one_label() {
        check_covers("a.example.com", "a.example.com", true);
        check_covers("a.example.com", "b.example.com", false);
        check_covers("*.example.com", "a.example.com", true);
        check_covers("*.example.com", "*.example.com", true);
        check_covers("*.example.com", "example.com", false);
        check_covers("*.example.com", "b.a.example.com", false);
        check_covers("*.a.example.com", "*.example.com", false);
        check_covers("*.example.com", "*.a.example.com", false);
        check_covers("a.example.com", "*.example.com", false);
    }
}
