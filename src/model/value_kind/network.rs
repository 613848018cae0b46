//! Addresses, and networks in CIDR notation.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::{ValueKind, refused};

/// An address or a network in CIDR notation.
#[derive(Debug, Clone, Copy)]
pub struct Networks;

impl ValueKind for Networks {
    type Value = Network;

    fn read(&self, text: &str) -> Result<Network, String> {
        text.parse().map_err(|()| refused(text, self))
    }

    fn write(&self, value: &Network) -> String {
        value.to_string()
    }

    fn form(&self) -> String {
        "an address or a network such as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32".to_owned()
    }
}

/// The addresses that share their first bits. A single address has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    /// The first address: all bits behind the prefix are zero.
    pub address: IpAddr,
    /// How many bits are shared, at most 32 or 128.
    pub prefix: u8,
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), |prefix| prefix.parse().map_err(|_| ()))?;
        if prefix > bits {
            return Err(());
        }
        let shift = |width: u8| u32::from(width - prefix);
        // A shift by the whole width keeps nothing.
        let address = match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(shift(32)).unwrap_or(0);
                IpAddr::V4((u32::from(v4) & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(shift(128)).unwrap_or(0);
                IpAddr::V6((u128::from(v6) & mask).into())
            }
        };
        Ok(Network { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits: u8 = if self.address.is_ipv4() { 32 } else { 128 };
        if self.prefix == bits {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.prefix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ListOf;
    use super::super::tests::check;
    use super::*;

    #[test]
    fn networks_lose_the_bits_behind_their_prefix() {
        let kind = ListOf {
            each: Networks,
            most: 4,
        };
        check(
            &kind,
            &[
                ("10.1.2.3/8", "10.0.0.0/8"),
                ("203.0.113.7/32", "203.0.113.7"),
                ("2001:db8::1/32, 1.2.3.4", "2001:db8::/32,1.2.3.4"),
                ("0.0.0.0/0,::/0", "0.0.0.0/0,::/0"),
                ("", ""),
            ],
            &[
                "10.0.0.0/33",
                "::/129",
                "10.0.0/8",
                "example.com",
                "1.1.1.1,2.2.2.2,3.3.3.3,4.4.4.4,5.5.5.5",
            ],
        );
    }
}
