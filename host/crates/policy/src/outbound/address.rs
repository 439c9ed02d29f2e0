//! What kind of address it is: which machines it reaches, and whether it may be dialled.
//!
//! The ranges are those of the IANA special-purpose registries
//! (<https://www.iana.org/assignments/iana-ipv4-special-registry>,
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>) and the addresses clouds
//! serve credentials and configuration from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::DenialCode;

/// Why an address is not dialled without being named, and what it is, as a noun phrase.
pub(super) type Kind = (DenialCode, &'static str);

/// The kind of an address that is not an ordinary public one.
pub(super) fn special(address: IpAddr) -> Option<Kind> {
    if is_metadata(address) {
        return Some((DenialCode::MetadataAddress, "serves the metadata and credentials of the machine"));
    }
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

/// Whether the address serves metadata, credentials or the name service of the machine PAR
/// runs on, however it is written.
pub(super) fn is_metadata(address: IpAddr) -> bool {
    forms(address).any(|form| match form {
        IpAddr::V4(address) => is_metadata_v4(address),
        IpAddr::V6(address) => is_metadata_v6(address),
    })
}

/// The address, and every IPv4 address a gateway may take out of it.
pub(super) fn forms(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let inside = match address {
        IpAddr::V4(_) => [None, None],
        IpAddr::V6(address) => embedded(address),
    };
    std::iter::once(address).chain(inside.into_iter().flatten().map(IpAddr::V4))
}

fn is_metadata_v4(address: Ipv4Addr) -> bool {
    match address.octets() {
        // Instance metadata (.254), names (.253) and time (.123) of EC2; credentials of ECS
        // tasks (170.2) and EKS pods (170.23). Whole networks: the next service will be there.
        [169, 254, 169 | 170, _] => true,
        // Azure's wire server, Alibaba's and Oracle's metadata.
        [168, 63, 129, 16] | [100, 100, 100, 200] | [192, 0, 0, 192] => true,
        _ => false,
    }
}

fn is_metadata_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // EC2: instance metadata (::254), names (::253), time (::123), credentials of pods (::23).
        [0xfd00, 0x0ec2, ..] => true,
        // Google: metadata.
        [0xfd20, 0x00ce, ..] => true,
        _ => false,
    }
}

fn special_v4(address: Ipv4Addr) -> Option<Kind> {
    let kind = match address.octets() {
        [0, ..] => (DenialCode::UnspecifiedAddress, "is this machine's own"),
        [127, ..] => (DenialCode::LoopbackAddress, "is this machine's own"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => (DenialCode::PrivateAddress, "is in a private network"),
        [169, 254, ..] => (DenialCode::LinkLocalAddress, "is on the local link"),
        [100, 64..=127, ..] => (DenialCode::SharedAddress, "is in the network of a provider"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => {
            (DenialCode::DocumentationAddress, "is for documentation")
        }
        [198, 18 | 19, ..] => (DenialCode::DocumentationAddress, "is for benchmarks"),
        [192, 88, 99, _] => (DenialCode::TunnelAddress, "is a relay of a tunnel"),
        [224..=239, ..] => (DenialCode::MulticastAddress, "is a group of machines"),
        [255, 255, 255, 255] => (DenialCode::BroadcastAddress, "is every machine of the link"),
        [192, 0, 0, _] | [240..=255, ..] => (DenialCode::ReservedAddress, "is reserved"),
        _ => return None,
    };
    Some(kind)
}

fn special_v6(address: Ipv6Addr) -> Option<Kind> {
    if let Some(v4) = address.to_ipv4_mapped() {
        return special_v4(v4);
    }
    let kind = match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => (DenialCode::UnspecifiedAddress, "is this machine's own"),
        [0, 0, 0, 0, 0, 0, 0, 1] => (DenialCode::LoopbackAddress, "is this machine's own"),
        // NAT64, the way from networks without IPv4 to the rest: as good as what is inside.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => return special_v4(v4_of(high, low)),
        [0x64, 0xff9b, 1, ..]
        | [0x2001, 0, ..]
        | [0x2002, ..]
        | [0, 0, 0, 0, 0, 0, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..] => (DenialCode::TunnelAddress, "carries an IPv4 address through a tunnel"),
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => (DenialCode::DocumentationAddress, "is for documentation"),
        [0x2001, 2, 0, ..] => (DenialCode::DocumentationAddress, "is for benchmarks"),
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => (DenialCode::PrivateAddress, "is in a private network"),
        [0xfe80..=0xfebf, ..] => (DenialCode::LinkLocalAddress, "is on the local link"),
        [0xff00..=0xffff, ..] => (DenialCode::MulticastAddress, "is a group of machines"),
        // Global unicast is 2000::/3 and nothing else; the rest of 2001::/23 is for protocols.
        [0x2001, 0..=0x01ff, ..] | [0..=0x1fff, ..] | [0x4000..=0xfbff, ..] | [0xfe00..=0xfe7f, ..] => {
            (DenialCode::ReservedAddress, "is reserved")
        }
        _ => return None,
    };
    Some(kind)
}

/// IPv4 addresses a gateway may take out of an IPv6 address.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let segments = address.segments();
    let last = v4_of(segments[6], segments[7]);
    match segments {
        // IPv4-mapped, IPv4-compatible, IPv4-translated, NAT64.
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, ..] => [Some(last), None],
        // Local NAT64, whose prefix may have 48 or 96 bits (RFC 6052): the first form leaves
        // out the eight bits 64 to 71.
        [0x64, 0xff9b, 1, high, middle, low, ..] => [Some(last), Some(v4_of(high, (middle & 0xff) << 8 | low >> 8))],
        // 6to4 has it in front; Teredo has its server there, and the client inverted at the end.
        [0x2002, high, low, ..] => [Some(v4_of(high, low)), None],
        [0x2001, 0, high, low, ..] => [Some(v4_of(high, low)), Some(v4_of(!segments[6], !segments[7]))],
        // ISATAP.
        [_, _, _, _, 0 | 0x0200, 0x5efe, ..] => [Some(last), None],
        _ => [None, None],
    }
}

fn v4_of(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}
