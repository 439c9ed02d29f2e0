//! Ranges of addresses, in CIDR notation.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::address;

/// Shortest prefixes that are accepted. A shorter one would name half of the internet; the
/// largest private ranges are `10.0.0.0/8` and `fc00::/7`.
const SHORTEST_V4: u8 = 8;
const SHORTEST_V6: u8 = 7;

/// A text that is no range of addresses that can be granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotARange(String);

/// A range of addresses: `10.1.2.0/24`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressRange {
    network: IpAddr,
    prefix: u8,
}

impl AddressRange {
    /// Whether the range holds the address. An IPv4 address written as IPv6
    /// (`::ffff:10.1.2.3`) is that IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        masked(address.to_canonical(), self.prefix) == Some(self.network)
    }

    /// Whether every address of `other` is in this range.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.network)
    }
}

/// The address with everything after the prefix set to zero; `None` if it is shorter than the
/// prefix.
fn masked(address: IpAddr, prefix: u8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            let host_bits = 32_u32.checked_sub(u32::from(prefix))?;
            let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
            Some(Ipv4Addr::from_bits(address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let host_bits = 128_u32.checked_sub(u32::from(prefix))?;
            let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
            Some(Ipv6Addr::from_bits(address.to_bits() & mask).into())
        }
    }
}

impl FromStr for AddressRange {
    type Err = NotARange;

    fn from_str(text: &str) -> Result<Self, NotARange> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let network: IpAddr =
            address.parse().map_err(|_| NotARange("expected an address or a range like `10.1.2.0/24`".to_owned()))?;
        if network.to_canonical() != network {
            return Err(NotARange(format!("write the IPv4 address `{}`", network.to_canonical())));
        }
        let (shortest, whole) = if network.is_ipv4() { (SHORTEST_V4, 32) } else { (SHORTEST_V6, 128) };
        let prefix = match prefix {
            None => whole,
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|prefix| (shortest..=whole).contains(prefix) && prefix.to_string() == digits)
                .ok_or_else(|| NotARange(format!("expected a prefix length from {shortest} to {whole}")))?,
        };
        match masked(network, prefix) {
            Some(start) if start == network => {}
            Some(start) => return Err(NotARange(format!("has bits after its prefix: write `{start}/{prefix}`"))),
            None => return Err(NotARange(format!("expected a prefix length from {shortest} to {whole}"))),
        }
        if address::is_metadata(network) {
            return Err(NotARange("is an address of the machine's metadata, which cannot be granted".to_owned()));
        }
        Ok(Self { network, prefix })
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.network, self.prefix)
    }
}
