//! What was decided about the requests of an app, as the proxy takes it. Pure.

use std::sync::Arc;

use mini_proxy::{BasicAuth, Hsts, Maintenance, Network, PlainHttp, Policy, Protocol, Rate};

use super::plan::Rules;
use crate::model::{self, AppProxy, HttpAuth, PageName, ProxyOptions, UpstreamProtocol};

/// The policy of an app.
pub(super) fn policy(app: &AppProxy) -> Policy {
    let options = &app.options;
    let page = |name| app.pages.get(&name).cloned();
    Policy {
        connect_timeout: Some(options.connect_timeout),
        first_byte_timeout: Some(options.first_byte_timeout),
        idle_timeout: options.idle_timeout,
        max_body_bytes: options.max_body_bytes,
        min_upload_rate: options.min_upload_rate,
        allow: networks(&options.allow),
        deny: networks(&options.deny),
        rate: options.rate.map(|rate| Rate {
            count: rate.count,
            per: rate.per,
            burst: options.rate_burst.unwrap_or(rate.count),
        }),
        max_in_flight: options.max_in_flight,
        compression: options.compression,
        is_unlogged: !options.access_log,
        forwarded: options.forwarded,
        traceparent: options.traceparent,
        maintenance: app.maintenance.as_ref().map(|maintenance| Maintenance {
            retry_after: maintenance.retry_after,
            allow: networks(&maintenance.allow),
            page: page(PageName::Maintenance),
        }),
        auth: app.auth.is_on.then(|| Arc::new(basic_auth(&app.auth))),
        pages: PageName::STATUSES
            .iter()
            .filter_map(|status| Some((*status, page(PageName::Status(*status))?)))
            .collect(),
    }
}

fn networks(networks: &[model::Network]) -> Vec<Network> {
    networks
        .iter()
        .map(|network| Network {
            address: network.address,
            prefix: network.prefix,
        })
        .collect()
}

fn basic_auth(auth: &HttpAuth) -> BasicAuth {
    let users = auth.users.iter();
    BasicAuth {
        users: users
            // Whose hash is none has no password that would fit.
            .filter_map(|(name, hash)| Some((name.to_string(), hash.reveal().parse().ok()?)))
            .collect(),
    }
}

/// How the processes of an app are spoken to.
pub(super) fn protocol(options: &ProxyOptions) -> Protocol {
    match options.upstream_protocol {
        UpstreamProtocol::Auto => Protocol::ByRequest,
        UpstreamProtocol::Http1 => Protocol::Http1,
        UpstreamProtocol::H2c => Protocol::H2c,
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
    use std::num::NonZeroU64;
    use std::time::Duration;

    #[test]
    fn without_anything_set_the_times_are_the_proxys_own() {
        let own = ProxySettings::default();
        let expected = Policy {
            connect_timeout: Some(own.connect_timeout),
            first_byte_timeout: Some(own.first_byte_timeout),
            min_upload_rate: NonZeroU64::new(500),
            compression: true,
            ..Policy::default()
        };
        assert_eq!(policy(&AppProxy::default()), expected);
    }

    #[test]
    fn processes_are_spoken_to_as_the_request_needs_it_unless_it_was_said() {
        let mut app = AppProxy::default();
        assert_eq!(protocol(&app.options), Protocol::ByRequest);
        for (word, expected) in [
            ("h2c", Protocol::H2c),
            ("http1", Protocol::Http1),
            ("auto", Protocol::ByRequest),
        ] {
            app.options.set("upstream-protocol", word).unwrap();
            assert_eq!(protocol(&app.options), expected, "{word}");
        }
    }

    #[test]
    fn requests_are_on_record_unless_that_was_turned_off() {
        let mut app = AppProxy::default();
        assert!(!policy(&app).is_unlogged);
        app.options.set("access-log", "off").unwrap();
        assert!(policy(&app).is_unlogged);
    }

    #[test]
    fn a_rate_bursts_as_far_as_it_says_or_as_was_set() {
        let mut app = AppProxy::default();
        app.options.set("rate-limit", "600/m").unwrap();
        let burst = |app: &AppProxy| policy(app).rate.map(|rate| (rate.count, rate.burst));
        assert_eq!(burst(&app), Some((600, 600)));
        app.options.set("rate-limit-burst", "20").unwrap();
        assert_eq!(burst(&app), Some((600, 20)));
        let per = policy(&app).rate.map(|rate| rate.per);
        assert_eq!(per, Some(Duration::from_secs(60)));
    }

    #[test]
    fn a_password_is_asked_for_only_while_that_is_on_and_pages_find_their_place() {
        let mut app = AppProxy::default();
        app.auth
            .users
            .insert("me".parse().unwrap(), crate::model::Secret::new("no hash"));
        app.pages.insert(PageName::Maintenance, "later".into());
        app.pages.insert(PageName::Status(502), "oh no".into());
        let closed = policy(&app);
        assert_eq!(closed.auth, None);
        assert_eq!(closed.pages, [(502, "oh no".into())].into());
        app.auth.is_on = true;
        // Nobody passes by a hash that is none.
        assert_eq!(policy(&app).auth, Some(Arc::default()));
    }
}
