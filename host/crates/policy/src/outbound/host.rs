//! A host, in its one canonical spelling.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Longest name the domain name system can hold, and longest part between two dots.
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// A host: a name in lower-case ASCII without a trailing dot, or an address.
///
/// There is one value for each host, however it was spelt: the WHATWG host parser maps upper
/// case, full-width and percent-encoded characters, international names and every spelling of
/// an IPv4 address (`2130706433`, `0x7f.1`, `0177.0.0.1`) before this type sees them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A name.
    Name(String),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6(Ipv6Addr),
}

impl Host {
    /// The host of a URL; `None` for a name the domain name system cannot hold.
    pub(super) fn of(host: url::Host<&str>) -> Option<Self> {
        match host {
            url::Host::Ipv4(address) => Some(Self::V4(address)),
            url::Host::Ipv6(address) => Some(Self::V6(address)),
            url::Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                is_name(name).then(|| Self::Name(name.to_owned()))
            }
        }
    }

    /// Parses a host on its own, as it stands in a URL: an IPv6 address is in brackets.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // The parser drops these where a URL is parsed; alone they must not be there.
        if text.is_empty() || text.contains(|character: char| character.is_ascii_control() || character == ' ') {
            return None;
        }
        match url::Host::parse(text).ok()? {
            url::Host::Domain(name) => Self::of(url::Host::Domain(name.as_str())),
            url::Host::Ipv4(address) => Some(Self::V4(address)),
            url::Host::Ipv6(address) => Some(Self::V6(address)),
        }
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=LONGEST_LABEL).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'))
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::V4(address) => write!(formatter, "{address}"),
            Self::V6(address) => write!(formatter, "[{address}]"),
        }
    }
}
