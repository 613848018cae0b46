//! What was set of the proxy for an app, as the proxy takes it. Pure.

use mini_proxy::{Hsts, PlainHttp, Policy};

use super::plan::Rules;
use crate::model::ProxyOptions;

/// The policy of an app.
pub(super) fn policy(options: &ProxyOptions) -> Policy {
    Policy {
        connect_timeout: Some(options.connect_timeout),
        first_byte_timeout: Some(options.first_byte_timeout),
        idle_timeout: options.idle_timeout,
        max_body_bytes: options.max_body_bytes,
    }
}

/// What plain HTTP does on those hosts of an app that have a certificate.
pub(super) fn plain_http(options: &ProxyOptions) -> PlainHttp {
    if options.https_redirect {
        PlainHttp::Redirect
    } else {
        PlainHttp::Serve
    }
}

/// What browsers are told once they came over HTTPS. Nothing where HTTPS has another port than 443: they would keep the
/// port they know from HTTP (RFC 6797, section 8.3), and find no TLS there.
pub(super) fn hsts(options: &ProxyOptions, rules: &Rules) -> Option<Hsts> {
    let is_told = options.hsts && rules.https_port == Some(443);
    is_told.then(|| {
        Hsts::new(
            options.hsts_max_age,
            options.hsts_include_subdomains,
            options.hsts_preload,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mini_proxy::ProxySettings;

    #[test]
    fn without_anything_set_the_times_are_the_proxys_own() {
        let policy = policy(&ProxyOptions::default());
        let own = ProxySettings::default();
        let expected = Policy {
            connect_timeout: Some(own.connect_timeout),
            first_byte_timeout: Some(own.first_byte_timeout),
            ..Policy::default()
        };
        assert_eq!(policy, expected);
    }
}
