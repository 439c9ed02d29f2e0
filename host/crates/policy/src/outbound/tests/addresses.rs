//! Addresses and ranges of them: which may be dialled.

use std::net::IpAddr;

use super::outbound;
use crate::outbound::{AddressRange, Outbound};
use crate::{Denial, DenialCode, RuleId};

fn address_code(outbound: &Outbound, address: &str) -> Result<(), DenialCode> {
    let address: IpAddr = address.parse().unwrap_or_else(|_| panic!("{address}"));
    outbound.judge_address(address).map_err(|denial: Denial| denial.code())
}

/// hostile 98, hostile 100: no address that is not public is dialled.
#[test]
fn addresses_that_are_not_public_are_refused_by_kind() {
    use DenialCode as Code;
    let nothing = Outbound::default();
    for (address, expected) in [
        ("169.254.169.254", Code::MetadataAddress),
        ("169.254.169.253", Code::MetadataAddress),
        ("169.254.169.123", Code::MetadataAddress),
        ("169.254.170.2", Code::MetadataAddress),
        ("169.254.170.23", Code::MetadataAddress),
        ("168.63.129.16", Code::MetadataAddress),
        ("100.100.100.200", Code::MetadataAddress),
        ("fd00:ec2::254", Code::MetadataAddress),
        ("fd00:ec2::23", Code::MetadataAddress),
        ("fd20:ce::254", Code::MetadataAddress),
        ("::ffff:169.254.169.254", Code::MetadataAddress),
        ("::169.254.169.254", Code::MetadataAddress),
        ("::ffff:0:169.254.169.254", Code::MetadataAddress),
        ("64:ff9b::169.254.169.254", Code::MetadataAddress),
        ("64:ff9b::a9fe:aa02", Code::MetadataAddress),
        ("64:ff9b:1::169.254.169.254", Code::MetadataAddress),
        ("64:ff9b:1:a9fe:a9:fe00::", Code::MetadataAddress),
        ("64:ff9b:1:a83f:81:1000::", Code::MetadataAddress),
        ("2002:a9fe:a9fe::1", Code::MetadataAddress),
        ("2001:0:a9fe:a9fe::1", Code::MetadataAddress),
        ("2001:0:101:101:0:0:5601:5601", Code::MetadataAddress),
        ("fe80::5efe:169.254.169.254", Code::MetadataAddress),
        ("127.0.0.1", Code::LoopbackAddress),
        ("127.255.255.254", Code::LoopbackAddress),
        ("::1", Code::LoopbackAddress),
        ("::ffff:127.0.0.1", Code::LoopbackAddress),
        ("64:ff9b::127.0.0.1", Code::LoopbackAddress),
        ("10.0.0.1", Code::PrivateAddress),
        ("172.16.0.1", Code::PrivateAddress),
        ("172.31.255.255", Code::PrivateAddress),
        ("192.168.1.1", Code::PrivateAddress),
        ("64:ff9b::10.0.0.1", Code::PrivateAddress),
        ("fc00::1", Code::PrivateAddress),
        ("fdff::1", Code::PrivateAddress),
        ("fec0::1", Code::PrivateAddress),
        ("169.254.1.1", Code::LinkLocalAddress),
        ("fe80::1", Code::LinkLocalAddress),
        ("100.64.0.1", Code::SharedAddress),
        ("100.127.255.255", Code::SharedAddress),
        ("224.0.0.1", Code::MulticastAddress),
        ("239.255.255.255", Code::MulticastAddress),
        ("ff02::1", Code::MulticastAddress),
        ("0.0.0.0", Code::UnspecifiedAddress),
        ("0.1.2.3", Code::UnspecifiedAddress),
        ("::", Code::UnspecifiedAddress),
        ("::ffff:0.0.0.0", Code::UnspecifiedAddress),
        ("255.255.255.255", Code::BroadcastAddress),
        ("192.0.2.1", Code::DocumentationAddress),
        ("198.51.100.1", Code::DocumentationAddress),
        ("203.0.113.1", Code::DocumentationAddress),
        ("198.18.0.1", Code::DocumentationAddress),
        ("198.19.255.255", Code::DocumentationAddress),
        ("2001:db8::1", Code::DocumentationAddress),
        ("3fff:fff::1", Code::DocumentationAddress),
        ("2001:2::1", Code::DocumentationAddress),
        ("2002:a00:1::1", Code::TunnelAddress),
        ("2001::1", Code::TunnelAddress),
        ("64:ff9b:1::8.8.8.8", Code::TunnelAddress),
        ("::8.8.8.8", Code::TunnelAddress),
        ("192.88.99.1", Code::TunnelAddress),
        ("240.0.0.1", Code::ReservedAddress),
        ("192.0.0.8", Code::ReservedAddress),
        ("2001:10::1", Code::ReservedAddress),
        ("100::1", Code::ReservedAddress),
        ("4000::1", Code::ReservedAddress),
        ("5f00::1", Code::ReservedAddress),
    ] {
        assert_eq!(address_code(&nothing, address), Err(expected), "{address}");
    }
    for address in [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700::1111",
        "2001:200::1",
        "2a00:1450::1",
        "64:ff9b::8.8.8.8",
        "::ffff:8.8.8.8",
    ] {
        assert_eq!(address_code(&nothing, address), Ok(()), "{address}");
    }
}

#[test]
fn an_address_is_dialled_when_it_is_named_and_metadata_never() {
    let naming = outbound(&[], &[], &["10.1.2.0/24", "127.0.0.0/8", "169.254.0.0/16", "fd00::/8", "192.168.7.9"]);

    for address in ["10.1.2.3", "::ffff:10.1.2.3", "127.0.0.1", "169.254.1.1", "fd12::1", "192.168.7.9"] {
        assert_eq!(address_code(&naming, address), Ok(()), "{address}");
    }
    for (address, expected) in [
        ("10.1.3.3", DenialCode::PrivateAddress),
        ("192.168.7.8", DenialCode::PrivateAddress),
        ("64:ff9b::10.1.2.3", DenialCode::PrivateAddress),
        ("169.254.169.254", DenialCode::MetadataAddress),
        ("169.254.170.2", DenialCode::MetadataAddress),
        ("::ffff:169.254.169.254", DenialCode::MetadataAddress),
        ("fd00:ec2::254", DenialCode::MetadataAddress),
    ] {
        assert_eq!(address_code(&naming, address), Err(expected), "{address}");
    }
}

#[test]
fn a_range_that_is_denied_is_denied_inside_other_addresses_too() {
    let range = (RuleId::new("deny.outbound_addresses[0]"), "8.8.8.0/24".parse().unwrap());
    let denying = Outbound::new(Vec::new(), Vec::new(), Vec::new(), vec![range]);

    for address in ["8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"] {
        assert_eq!(address_code(&denying, address), Err(DenialCode::DeniedByPolicy), "{address}");
    }
    assert_eq!(address_code(&denying, "8.8.4.4"), Ok(()));
}

#[test]
fn ranges_are_written_in_one_way() {
    for text in [
        "",
        "10.0.0.0/33",
        "10.0.0.0/7",
        "0.0.0.0/0",
        "::/0",
        "10.1.2.3/24",
        "10.0.0.0/08",
        "10.0.0.0/+8",
        "10.0.0/8",
        "::ffff:10.0.0.0/104",
        "169.254.169.254",
        "169.254.169.0/24",
        "fd00:ec2::/32",
        "example.com",
    ] {
        assert!(text.parse::<AddressRange>().is_err(), "{text}");
    }
    let range = |text: &str| text.parse::<AddressRange>().unwrap();
    assert_eq!(range("10.1.2.0/24").to_string(), "10.1.2.0/24");
    assert_eq!(range("10.1.2.3").to_string(), "10.1.2.3/32");
    assert_eq!(
        "10.1.2.3/24".parse::<AddressRange>().unwrap_err().to_string(),
        "has bits after its prefix: write `10.1.2.0/24`"
    );
    assert!(range("10.0.0.0/8").covers(&range("10.1.0.0/16")));
    assert!(!range("10.1.0.0/16").covers(&range("10.0.0.0/8")));
    assert!(!range("fc00::/7").covers(&range("10.0.0.0/8")));
}
