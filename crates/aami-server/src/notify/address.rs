//! Which addresses may be connected to for a destination that an admin named.
//!
//! Judged at the moment of connecting, on the address that is connected to: a name may lead elsewhere by then. An IPv4
//! address inside IPv6 (mapped, NAT64, 6to4, Teredo) is judged as the IPv4 address it reaches.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is refused; `None` where it may be connected to.
pub(crate) fn refused(address: IpAddr, allow_private: bool) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => refused_v4(v4, allow_private),
        IpAddr::V6(v6) => match within(v6) {
            Some(v4) => refused_v4(v4, allow_private),
            None => refused_v6(v6, allow_private),
        },
    }
}

const PRIVATE: Option<&str> = Some("it is a private address, and the destination does not say allow_private");
const METADATA: Option<&str> = Some("cloud metadata services live there");

fn refused_v4(address: Ipv4Addr, allow_private: bool) -> Option<&'static str> {
    let [a, b, ..] = address.octets();
    if a == 0 {
        return Some("it names no host");
    }
    if address.is_multicast() || a >= 240 {
        return Some("it is a multicast, broadcast or reserved address");
    }
    // RFC 3927; and where Azure and Alibaba keep theirs.
    if address.is_link_local() || matches!(address.octets(), [168, 63, 129, 16] | [100, 100, 100, 200]) {
        return METADATA;
    }
    let private = address.is_loopback()
        || address.is_private()
        // RFC 6598 (carriers), RFC 2544 (benchmarks), RFC 6890 (protocols).
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && matches!(b, 18 | 19))
        || address.octets()[..3] == [192, 0, 0];
    if private && !allow_private { PRIVATE } else { None }
}

fn refused_v6(address: Ipv6Addr, allow_private: bool) -> Option<&'static str> {
    let [first, second, ..] = address.segments();
    if address.is_unspecified() {
        return Some("it names no host");
    }
    if address.is_multicast() {
        return Some("it is a multicast address");
    }
    // fe80::/10; and where AWS keeps its own.
    if address.is_unicast_link_local() || (first == 0xfd00 && second == 0x0ec2) {
        return METADATA;
    }
    // ::1, fc00::/7, and fec0::/10 of old.
    let private = address.is_loopback() || first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfec0;
    if private && !allow_private { PRIVATE } else { None }
}

/// The IPv4 address that an IPv6 address leads to.
fn within(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match s {
        // Itself, and nowhere.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // Mapped, translated (RFC 2765), and compatible of old.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => Some(v4(high, low)),
        // NAT64: RFC 6052, and RFC 8215 where the last 32 bits are usual.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 1, _, _, _, high, low] => Some(v4(high, low)),
        // 6to4, RFC 3056.
        [0x2002, high, low, ..] => Some(v4(high, low)),
        // Teredo, RFC 4380: the address is inverted.
        [0x2001, 0, _, _, _, _, high, low] => Some(v4(!high, !low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str, allow_private: bool) -> bool {
        refused(text.parse().unwrap(), allow_private).is_none()
    }

    #[test]
    fn the_public_internet_is_open() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "2606:4700::1111",
            "64:ff9b::808:808",
        ] {
            assert!(judge(text, false), "{text}");
        }
    }

    #[test]
    fn private_addresses_need_the_destinations_word_however_they_are_written() {
        for text in [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.0.1",
            "192.0.0.8",
            "::1",
            "fc00::1",
            "fd12:3456::1",
            "fec0::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "::ffff:0:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::192.168.0.1",
            "2002:7f00:1::1",
            "2001:0:1:2:3:4:80ff:fffe",
        ] {
            assert!(!judge(text, false), "{text}");
            assert!(judge(text, true), "{text}");
        }
    }

    #[test]
    fn metadata_and_what_is_no_host_is_never_connected_to() {
        for text in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::1",
            "100.100.100.200",
            "168.63.129.16",
            "fd00:ec2::254",
            "fe80::1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ] {
            assert!(!judge(text, true), "{text}");
        }
    }
}
