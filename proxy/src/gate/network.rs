//! Ranges of addresses.

use std::net::IpAddr;

/// The addresses that share their first bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Network {
    /// One of them.
    pub address: IpAddr,
    /// How many bits they share: at most 32 or 128, more counts as all.
    pub prefix: u8,
}

impl Network {
    /// Whether an address is one of them. An IPv4 address written as an IPv6 one (`::ffff:192.0.2.1`) counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = |width: u8| u32::from(width.saturating_sub(self.prefix));
        // A shift by the whole width leaves nothing to compare.
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let differ = u32::from(ours) ^ u32::from(theirs);
                differ.checked_shr(bits(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let differ = u128::from(ours) ^ u128::from(theirs);
                differ.checked_shr(bits(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// Whether an address is in one of several networks.
pub(crate) fn any_contains(networks: &[Network], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(address))
}

/// An address as limits are kept for it: of IPv6 the first 64 bits, for who has one address there has them all
/// (RFC 6177 section 2).
pub(crate) fn party(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::{Network, party};

    fn check(address: &str, prefix: u8, inside: &[&str], outside: &[&str]) {
        let network = Network {
            address: address.parse().unwrap(),
            prefix,
        };
        for text in inside {
            assert!(network.contains(text.parse().unwrap()), "{text}");
        }
        for text in outside {
            assert!(!network.contains(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_network_has_what_shares_its_first_bits() {
        check(
            "10.0.0.0",
            8,
            &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
            &["11.0.0.0", "::10.0.0.0"],
        );
        check("192.0.2.1", 32, &["192.0.2.1"], &["192.0.2.0", "192.0.2.3"]);
        check("0.0.0.0", 0, &["255.255.255.255"], &["::1"]);
        check(
            "2001:db8::",
            32,
            &["2001:db8:ffff::1"],
            &["2001:db9::", "10.0.0.1"],
        );
        check("::", 0, &["ffff::1"], &["1.2.3.4"]);
        check("::1", 200, &["::1"], &["::2"]);
    }

    #[test]
    fn a_party_is_an_ipv4_address_or_half_an_ipv6_one() {
        let of = |text: &str| party(text.parse().unwrap()).to_string();
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
