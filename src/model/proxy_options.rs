//! What can be set of the proxy for one app: every setting once, with its kind, range, default and one line of help.

use std::num::NonZeroU64;
use std::time::Duration;

use super::value_kind::{
    ByteRate, Count, ListOf, Network, Networks, OffOr, OneOf, PerTime, Rate, Size, Span, Switch,
    ValueKind,
};

/// One setting of the catalogue.
#[derive(Debug)]
pub struct ProxySetting {
    /// Its name, as `proxy:set` takes it.
    pub name: &'static str,
    /// Names nginx and Dokku's `nginx:set` have for it, understood too.
    pub aliases: &'static [&'static str],
    /// What it does, one line.
    pub help: &'static str,
    form: fn() -> String,
    read: fn(&mut ProxyOptions, &str) -> Result<(), String>,
    write: fn(&ProxyOptions) -> String,
}

impl ProxySetting {
    /// The setting of that name.
    pub fn named(name: &str) -> Option<&'static ProxySetting> {
        ProxyOptions::SETTINGS
            .iter()
            .find(|setting| setting.name == name || setting.aliases.contains(&name))
    }

    /// A value in the form it is stored and shown in.
    ///
    /// # Errors
    /// Why it is refused, as a clause for a person.
    pub fn normalized(&self, value: &str) -> Result<String, String> {
        let mut options = ProxyOptions::default();
        (self.read)(&mut options, value)?;
        Ok((self.write)(&options))
    }

    /// Its value among `options`, as it is shown.
    pub fn shown(&self, options: &ProxyOptions) -> String {
        (self.write)(options)
    }

    /// What may be given, in words.
    pub fn form(&self) -> String {
        (self.form)()
    }
}

/// Which HTTP the processes of an app are spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// HTTP/2 for gRPC, HTTP/1.1 for all else.
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 without TLS, by prior knowledge.
    H2c,
}

const UPSTREAM_PROTOCOLS: OneOf<UpstreamProtocol> = OneOf(&[
    ("auto", UpstreamProtocol::Auto),
    ("http1", UpstreamProtocol::Http1),
    ("h2c", UpstreamProtocol::H2c),
]);

/// Enough for the address ranges of a content delivery network.
const NETWORKS: ListOf<Networks> = ListOf {
    each: Networks,
    most: 256,
};

macro_rules! proxy_settings {
    ($($name:literal $(| $alias:literal)? $field:ident: $type:ty = $default:expr, $kind:expr, $help:literal;)+) => {
        /// What was set of the proxy for one app, and the default of what was not.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct ProxyOptions {
            $(
                #[doc = $help]
                pub $field: $type,
            )+
        }

        impl Default for ProxyOptions {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl ProxyOptions {
            /// Every setting there is, in the order of the help.
            pub const SETTINGS: &'static [ProxySetting] = &[
                $(ProxySetting {
                    name: $name,
                    aliases: &[$($alias)?],
                    help: $help,
                    form: || $kind.form(),
                    read: |options, text| {
                        options.$field = $kind.read(text)?;
                        Ok(())
                    },
                    write: |options| $kind.write(&options.$field),
                },)+
            ];

            /// Puts a value into force.
            ///
            /// # Errors
            /// Why the value is refused, or that there is no such setting.
            pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
                let setting =
                    ProxySetting::named(name).ok_or_else(|| format!("there is no setting `{name}`"))?;
                (setting.read)(self, value)
            }
        }
    };
}

// A range may become wider, never narrower without a migration: what is stored must still be read.
proxy_settings! {
    "connect-timeout" | "proxy-connect-timeout" connect_timeout: Duration = Duration::from_secs(5),
        Span { least: Duration::from_millis(10), most: Duration::from_secs(300) },
        "How long a process may take to accept a connection; then another is tried, at last a 504";
    "first-byte-timeout" | "proxy-read-timeout" first_byte_timeout: Duration = Duration::from_secs(60),
        Span { least: Duration::from_millis(10), most: Duration::from_secs(86_400) },
        "How long a process may take to begin its answer, from the last byte of the request; then a 504";
    "upstream-protocol" upstream_protocol: UpstreamProtocol = UpstreamProtocol::Auto,
        UPSTREAM_PROTOCOLS,
        "Which HTTP the app is spoken to in: auto is HTTP/2 without TLS (h2c) for gRPC, and HTTP/1.1 for all else";
    "idle-timeout" idle_timeout: Option<Duration> = None,
        OffOr(Span { least: Duration::from_millis(100), most: Duration::from_secs(86_400) }),
        "How long an answer that has begun may be silent before it is broken off; off, for streams are silent at times";
    "max-body-size" | "client-max-body-size" max_body_bytes: Option<u64> = None,
        OffOr(Size { least: 1, most: 1 << 44 }),
        "Largest body of a request, more is answered 413; off, for bodies pass through and fill no memory of ours";
    // Apache's `mod_reqtimeout` has the same by default (`RequestReadTimeout body=20,MinRate=500`).
    "min-upload-rate" min_upload_rate: Option<NonZeroU64> = NonZeroU64::new(500),
        OffOr(ByteRate),
        "Bytes a second that the body of a request must bring, 20 s late at most, until the answer begins; then a 408";
    "allow-list" allow: Vec<Network> = Vec::new(),
        NETWORKS,
        "Who may ask, others are answered 403; with none, everybody may";
    "deny-list" deny: Vec<Network> = Vec::new(),
        NETWORKS,
        "Who may not ask, even if on the allow-list";
    "rate-limit" rate: Option<Rate> = None,
        OffOr(PerTime { most: 1_000_000 }),
        "How often one client may ask, an IPv6 one by the first half of its address; more is answered 429";
    "rate-limit-burst" rate_burst: Option<u32> = None,
        OffOr(Count { least: 1, most: 1_000_000 }),
        "How many requests of one client pass at once after a pause; off for as many as the rate names";
    "compression" | "gzip" compression: bool = true,
        Switch,
        "Whether answers of text and its like are compressed for visitors that take it (zstd, gzip, brotli)";
    "access-log" access_log: bool = true,
        Switch,
        "Whether its requests are written to its access log; they count in proxy:stats all the same";
    "forwarded" forwarded: bool = false,
        Switch,
        "Whether the app is told of its visitors by Forwarded (RFC 7239), besides X-Forwarded-For, -Proto, -Port and -Host";
    "traceparent" traceparent: bool = false,
        Switch,
        "Whether each request reaches the app in a trace (W3C): a trusted proxy's, else a new one; off leaves the field alone";
    "max-in-flight" max_in_flight: Option<u32> = None,
        OffOr(Count { least: 1, most: 1_000_000 }),
        "How many requests may be under way at once, more are answered 503; WebSockets do not count";
    "https-redirect" https_redirect: bool = true,
        Switch,
        "Whether HTTP is sent to HTTPS (308) on host names with a certificate; off serves both";
    "hsts" hsts: bool = true,
        Switch,
        "Whether browsers that came over HTTPS are told to stay there; only where HTTPS has port 443";
    "hsts-max-age" hsts_max_age: Duration = Duration::from_secs(15_724_800),
        Span { least: Duration::ZERO, most: Duration::from_secs(63_072_000) },
        "For how long they stay; 0 makes those that come forget it";
    // Dokku's is on. An app at example.com must not decide for mail.example.com, which may be another's and have no
    // certificate, and what a browser was told cannot be taken back.
    "hsts-include-subdomains" hsts_include_subdomains: bool = false,
        Switch,
        "Whether that holds for all host names below, too; off, for they may be another's";
    "hsts-preload" hsts_preload: bool = false,
        Switch,
        "Whether makers of browsers may build it in (hstspreload.org)";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_takes_back_what_it_shows() {
        let defaults = ProxyOptions::default();
        for setting in ProxyOptions::SETTINGS {
            let shown = setting.shown(&defaults);
            assert_eq!(
                setting.normalized(&shown).as_ref(),
                Ok(&shown),
                "{}",
                setting.name
            );
            let mut again = defaults.clone();
            again.set(setting.name, &shown).unwrap();
            assert_eq!(again, defaults, "{}", setting.name);
            assert!(!setting.form().is_empty());
        }
    }

    #[test]
    fn names_are_unique_and_nginx_names_are_understood() {
        let mut names: Vec<&str> = ProxyOptions::SETTINGS
            .iter()
            .flat_map(|setting| {
                std::iter::once(setting.name).chain(setting.aliases.iter().copied())
            })
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        let mut options = ProxyOptions::default();
        options.set("client-max-body-size", "50m").unwrap();
        assert_eq!(options.max_body_bytes, Some(50 << 20));
        assert!(options.set("max-body-size", "50x").is_err());
        assert!(options.set("nonsense", "1").is_err());
    }
}
