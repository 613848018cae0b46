//! Which subnet a new network gets. Docker's own pools end after about 31 networks, so we hand out small ones of our own.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// How many bits of an address name the network: 61 processes fit beside network, gateway and broadcast.
const APP_PREFIX: u8 = 26;

/// A range of IPv4 addresses: `10.224.0.0/12`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    first: u32,
    prefix: u8,
}

/// The text is not an IPv4 range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an IPv4 range such as `10.224.0.0/12`")]
pub struct InvalidSubnet(String);

impl Subnet {
    /// The range out of which networks are cut when nothing else is said: 16,384 of them. Docker's defaults are in
    /// 172.17-31 and 192.168, so there is no overlap with networks others make.
    pub const DEFAULT_POOL: Subnet = Subnet {
        first: 0x0ae0_0000,
        prefix: 12,
    };

    fn new(address: u32, prefix: u8) -> Self {
        Self {
            first: address & mask(prefix),
            prefix,
        }
    }

    /// Whether the two have an address in common.
    pub fn overlaps(&self, other: &Subnet) -> bool {
        let shorter = mask(self.prefix.min(other.prefix));
        self.first & shorter == other.first & shorter
    }

    /// How many app networks fit into this range.
    fn slots(&self) -> u32 {
        1_u32
            .checked_shl(u32::from(APP_PREFIX.saturating_sub(self.prefix)))
            .unwrap_or(1)
    }

    /// App network number `slot`, counted round.
    fn slot(&self, slot: u32) -> Subnet {
        let offset = (slot % self.slots()) << (32 - APP_PREFIX);
        Subnet::new(self.first.wrapping_add(offset), APP_PREFIX.max(self.prefix))
    }
}

impl FromStr for Subnet {
    type Err = InvalidSubnet;

    fn from_str(text: &str) -> Result<Self, InvalidSubnet> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let address: Ipv4Addr = address.parse().ok()?;
            let prefix: u8 = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
            Some(Subnet::new(address.to_bits(), prefix))
        };
        parse().ok_or_else(|| InvalidSubnet(text.to_owned()))
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.first), self.prefix)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX
        .checked_shl(32_u32.saturating_sub(u32::from(prefix)))
        .unwrap_or(0)
}

/// Hands out subnets in turn, so that the addresses of a removed app are not given to another one at once.
#[derive(Debug)]
pub(super) struct Pool {
    range: Subnet,
    next: u32,
}

impl Pool {
    /// A pool that begins at a place given by `seed`: two installations on one host then seldom want the same subnet.
    pub(super) fn new(range: Subnet, seed: u32) -> Self {
        Self { range, next: seed }
    }

    /// The next subnet that overlaps with none of `taken`; none when the pool is used up.
    pub(super) fn take(&mut self, taken: &[Subnet]) -> Option<Subnet> {
        for _ in 0..self.range.slots() {
            let candidate = self.range.slot(self.next);
            self.next = self.next.wrapping_add(1);
            if !taken.iter().any(|other| other.overlaps(&candidate)) {
                return Some(candidate);
            }
        }
        None
    }
}

/// The ranges the host routes somewhere, from the text of `/proc/net/route`; without the default route, which covers
/// everything.
pub(super) fn routed(table: &str) -> Vec<Subnet> {
    rows(table)
        .filter(|row| row.mask != 0)
        .map(|row| Subnet::new(row.destination, row.mask.count_ones() as u8))
        .collect()
}

/// The interface of the default route, from the same text.
pub(super) fn default_interface(table: &str) -> Option<&str> {
    rows(table)
        .find(|row| row.mask == 0 && row.destination == 0)
        .map(|row| row.interface)
}

struct Row<'a> {
    interface: &'a str,
    destination: u32,
    mask: u32,
}

/// The kernel prints addresses as the hexadecimal of the bytes in memory, so they are turned round on x86 and ARM.
fn rows(table: &str) -> impl Iterator<Item = Row<'_>> {
    table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let interface = fields.next()?;
        let destination = u32::from_str_radix(fields.next()?, 16).ok()?;
        let mask = u32::from_str_radix(fields.nth(5)?, 16).ok()?;
        Some(Row {
            interface,
            destination: u32::from_be_bytes(destination.to_ne_bytes()),
            mask: u32::from_be_bytes(mask.to_ne_bytes()),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    const ROUTES: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";

    #[test]
    fn ranges_are_read_written_and_compared() {
        assert_eq!(subnet("10.225.1.7/12").to_string(), "10.224.0.0/12");
        assert_eq!(subnet("10.224.0.0/12"), Subnet::DEFAULT_POOL);
        assert!(subnet("10.0.0.0/8").overlaps(&subnet("10.3.0.0/24")));
        assert!(!subnet("10.0.0.0/24").overlaps(&subnet("10.0.1.0/24")));
        assert!(subnet("0.0.0.0/0").overlaps(&subnet("1.2.3.4/32")));
        for text in ["", "10.0.0.0", "10.0.0.0/33", "a/8", "::/0"] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_pool_goes_round_what_is_taken_and_ends() {
        let mut pool = Pool::new(subnet("10.0.0.0/24"), 3);
        let taken = [subnet("10.0.0.64/27")];
        let given: Vec<_> = (0..4)
            .map(|_| pool.take(&taken).unwrap().to_string())
            .collect();
        assert_eq!(
            given,
            [
                "10.0.0.192/26",
                "10.0.0.0/26",
                "10.0.0.128/26",
                "10.0.0.192/26"
            ]
        );
        assert_eq!(pool.take(&[subnet("10.0.0.0/8")]), None);
    }

    #[test]
    fn routes_of_the_host_are_read() {
        assert_eq!(routed(ROUTES), [subnet("172.17.0.0/16")]);
        assert_eq!(default_interface(ROUTES), Some("eth0"));
        assert_eq!(routed("nonsense\n1 2"), []);
    }
}
