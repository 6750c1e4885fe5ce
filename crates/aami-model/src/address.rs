//! Which addresses a registrant may name as its own.

use std::net::IpAddr;

/// What kind of address it is, as far as enrolment cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressKind {
    /// Can be scraped from elsewhere.
    Routable,
    /// 127.0.0.0/8 or ::1: means another machine to everyone else.
    Loopback,
    /// 169.254.0.0/16, fe80::/10: cloud metadata services live there (RFC 3927, RFC 4291).
    LinkLocal,
    /// 224.0.0.0/4, ff00::/8, and the broadcast address.
    Multicast,
    /// 0.0.0.0/8 or ::.
    Unspecified,
}

/// Sorts an address. An IPv4 address inside IPv6 (`::ffff:a.b.c.d`) is judged as IPv4, so that no
/// rule can be passed by writing it the other way.
pub fn kind_of(address: IpAddr) -> AddressKind {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            if v4.octets()[0] == 0 {
                AddressKind::Unspecified
            } else if v4.is_loopback() {
                AddressKind::Loopback
            } else if v4.is_link_local() {
                AddressKind::LinkLocal
            } else if v4.is_multicast() || v4.is_broadcast() {
                AddressKind::Multicast
            } else {
                AddressKind::Routable
            }
        }
        IpAddr::V6(v6) => {
            if v6.is_unspecified() {
                AddressKind::Unspecified
            } else if v6.is_loopback() {
                AddressKind::Loopback
            } else if v6.is_unicast_link_local() {
                AddressKind::LinkLocal
            } else if v6.is_multicast() {
                AddressKind::Multicast
            } else {
                AddressKind::Routable
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_sorted_whatever_their_spelling() {
        for (text, kind) in [
            ("10.0.0.1", AddressKind::Routable),
            ("2001:db8::1", AddressKind::Routable),
            ("127.0.0.2", AddressKind::Loopback),
            ("::1", AddressKind::Loopback),
            ("::ffff:127.0.0.1", AddressKind::Loopback),
            ("169.254.169.254", AddressKind::LinkLocal),
            ("::ffff:169.254.169.254", AddressKind::LinkLocal),
            ("fe80::1", AddressKind::LinkLocal),
            ("224.0.0.1", AddressKind::Multicast),
            ("255.255.255.255", AddressKind::Multicast),
            ("0.0.0.0", AddressKind::Unspecified),
            ("::", AddressKind::Unspecified),
        ] {
            assert_eq!(kind_of(text.parse().unwrap()), kind, "{text}");
        }
    }
}
