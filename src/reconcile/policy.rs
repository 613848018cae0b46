//! What was set of the proxy for an app, as the proxy takes it. Pure.

use mini_proxy::Policy;

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
