//! Ports of the host that lead to ports of an app's web processes.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{AppId, InvalidName};

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortScheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS, which ends here; the app is spoken to in plain HTTP.
    Https,
}

impl PortScheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            PortScheme::Http => "http",
            PortScheme::Https => "https",
        }
    }

    /// The port it is spoken on where a URL names none.
    pub fn usual_port(self) -> u16 {
        match self {
            PortScheme::Http => 80,
            PortScheme::Https => 443,
        }
    }
}

impl FromStr for PortScheme {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let rule = match text {
            // gRPC is told by each request, so Dokku's schemes for it need no port of their own.
            "http" | "grpc" => return Ok(PortScheme::Http),
            "https" | "grpcs" => return Ok(PortScheme::Https),
            "tcp" | "udp" => {
                "The schemes of ports are http and https: the proxy forwards requests, not bytes of other protocols"
            }
            _ => "The schemes of ports are http and https",
        };
        Err(InvalidName {
            what: "scheme",
            rule,
        })
    }
}

impl fmt::Display for PortScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One port of the host, and where it leads: `http:8080:5000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortMapping {
    /// What visitors speak there.
    pub scheme: PortScheme,
    /// The port of the host, not 0.
    pub host_port: u16,
    /// The port that the web processes listen on, not 0.
    pub container_port: u16,
}

const FORM: &str = "A port mapping is SCHEME:HOST-PORT:CONTAINER-PORT, such as http:8080:5000";

impl FromStr for PortMapping {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let mut parts = text.split(':');
        let (Some(scheme), Some(host_port), Some(container_port), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(invalid(FORM));
        };
        Ok(Self {
            scheme: scheme.parse()?,
            host_port: port(host_port)?,
            container_port: port(container_port)?,
        })
    }
}

fn port(text: &str) -> Result<u16, InvalidName> {
    // `parse` would take a sign, too.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| is_number && *port > 0);
    port.ok_or(invalid("A port is a number from 1 to 65535"))
}

fn invalid(rule: &'static str) -> InvalidName {
    InvalidName {
        what: "port mapping",
        rule,
    }
}

impl TryFrom<String> for PortMapping {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<PortMapping> for String {
    fn from(mapping: PortMapping) -> String {
        mapping.to_string()
    }
}

impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scheme,
            host_port,
            container_port,
        } = self;
        write!(f, "{scheme}:{host_port}:{container_port}")
    }
}

/// Which mappings of an app are meant: all of a port of the host, or one as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PortChoice {
    /// `8080`
    Port(u16),
    /// `http:8080:5000`
    Mapping(PortMapping),
}

impl PortChoice {
    /// Whether a mapping is meant.
    pub fn is_for(self, mapping: PortMapping) -> bool {
        match self {
            PortChoice::Port(port) => mapping.host_port == port,
            PortChoice::Mapping(meant) => mapping == meant,
        }
    }
}

impl FromStr for PortChoice {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match text.contains(':') {
            true => text.parse().map(PortChoice::Mapping),
            false => port(text).map(PortChoice::Port),
        }
    }
}

impl TryFrom<String> for PortChoice {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<PortChoice> for String {
    fn from(choice: PortChoice) -> String {
        choice.to_string()
    }
}

impl fmt::Display for PortChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PortChoice::Port(port) => port.fmt(f),
            PortChoice::Mapping(mapping) => mapping.fmt(f),
        }
    }
}

/// A mapping and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppPort {
    /// The app.
    pub app: AppId,
    /// The mapping.
    pub mapping: PortMapping,
}

/// Where the server itself listens for visitors: what 80 and 443 of a mapping mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StandardPorts {
    /// For HTTP.
    pub http: Vec<SocketAddr>,
    /// For HTTPS; empty where that is turned off.
    pub https: Vec<SocketAddr>,
}

impl StandardPorts {
    /// Where the server listens for a scheme.
    pub fn of(&self, scheme: PortScheme) -> &[SocketAddr] {
        match scheme {
            PortScheme::Http => &self.http,
            PortScheme::Https => &self.https,
        }
    }

    /// The scheme that the server itself speaks on a port. 80 and 443 are its own also where it listens elsewhere, as a
    /// server without the rights of root does: every app answers there already, and mappings that were written for
    /// port 80 keep their meaning.
    pub fn scheme_of(&self, port: u16) -> Option<PortScheme> {
        let has = |scheme: PortScheme| {
            let mut addresses = self.of(scheme).iter();
            addresses.any(|address| address.port() == port)
        };
        let schemes = [PortScheme::Http, PortScheme::Https];
        let usual = || schemes.into_iter().find(|it| it.usual_port() == port);
        schemes.into_iter().find(|it| has(*it)).or_else(usual)
    }

    /// Whether a mapping is about the server's own listeners, and so needs no other.
    pub fn has(&self, mapping: PortMapping) -> bool {
        self.scheme_of(mapping.host_port) == Some(mapping.scheme)
    }

    /// The port that the web processes are to listen on for the server's own listeners, if `mappings` say so.
    pub fn container_port(&self, mappings: &[PortMapping]) -> Option<u16> {
        let mut standard = mappings.iter().filter(|mapping| self.has(**mapping));
        standard.next().map(|mapping| mapping.container_port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_a_scheme_and_two_ports() {
        for text in ["http:8080:5000", "https:1:65535"] {
            assert_eq!(text.parse::<PortMapping>().unwrap().to_string(), text);
        }
        let grpc: PortMapping = "grpcs:443:50051".parse().unwrap();
        assert_eq!(grpc.to_string(), "https:443:50051");
        for (text, rule) in [
            ("", FORM),
            ("8080", FORM),
            ("http:8080", FORM),
            ("http:8080:5000:1", FORM),
            ("http:0:5000", "A port is a number from 1 to 65535"),
            ("http:80:+5000", "A port is a number from 1 to 65535"),
            ("http:80:65536", "A port is a number from 1 to 65535"),
            ("http: 80:5000", "A port is a number from 1 to 65535"),
            ("HTTP:80:5000", "The schemes of ports are http and https"),
        ] {
            let error = text.parse::<PortMapping>().unwrap_err();
            assert_eq!(error.rule, rule, "{text:?}");
        }
        for text in ["tcp:25:25", "udp:53:53"] {
            let error = text.parse::<PortMapping>().unwrap_err();
            assert!(
                error.rule.contains("not bytes of other protocols"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_choice_is_a_mapping_or_a_port_of_the_host() {
        let mapping: PortMapping = "http:8080:5000".parse().unwrap();
        for (text, is_for) in [
            ("8080", true),
            ("http:8080:5000", true),
            ("5000", false),
            ("https:8080:5000", false),
            ("http:8080:5001", false),
        ] {
            let choice: PortChoice = text.parse().unwrap();
            assert_eq!(choice.to_string(), text);
            assert_eq!(choice.is_for(mapping), is_for, "{text}");
        }
        assert!("x".parse::<PortChoice>().is_err());
        assert!("0".parse::<PortChoice>().is_err());
    }

    #[test]
    fn the_usual_ports_and_where_the_server_listens_are_its_own() {
        let standard = StandardPorts {
            http: vec!["0.0.0.0:8080".parse().unwrap()],
            https: vec!["0.0.0.0:8443".parse().unwrap()],
        };
        let (http, https) = (PortScheme::Http, PortScheme::Https);
        for (port, scheme) in [
            (80, Some(http)),
            (8080, Some(http)),
            (443, Some(https)),
            (8443, Some(https)),
            (8081, None),
        ] {
            assert_eq!(standard.scheme_of(port), scheme, "{port}");
        }
        let mappings = ["http:9000:1", "https:80:2", "https:443:3", "http:80:4"];
        let mappings = mappings.map(|text| text.parse().unwrap());
        assert_eq!(standard.container_port(&mappings), Some(3));
        assert_eq!(standard.container_port(&mappings[..2]), None);
        // Whoever listens for HTTPS on port 80 means it.
        let odd = StandardPorts {
            http: Vec::new(),
            https: vec!["0.0.0.0:80".parse().unwrap()],
        };
        assert_eq!(odd.scheme_of(80), Some(https));
    }
}
