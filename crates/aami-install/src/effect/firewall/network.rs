//! Addresses and networks, as rules of firewalls name them.

use std::net::IpAddr;

/// The bits of an address, how many of them there are, and how many of those the network fixes.
struct Network {
    bits: u128,
    length: u32,
    prefix: u32,
}

fn read(text: &str) -> Option<Network> {
    if !is_network(text) {
        return None;
    }
    let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
    let (bits, length) = match address.parse().ok()? {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    let prefix = match prefix {
        Some(prefix) => prefix.parse().ok()?,
        None => length,
    };
    Some(Network { bits, length, prefix })
}

/// Whether all of `inside`, an address or a network, lies in `network`.
pub(super) fn contains(network: &str, inside: &str) -> bool {
    let (Some(outer), Some(inner)) = (read(network), read(inside)) else {
        return false;
    };
    let free = outer.length - outer.prefix;
    let fixed = |bits: u128| bits.checked_shr(free).unwrap_or(0);
    outer.length == inner.length && outer.prefix <= inner.prefix && fixed(outer.bits) == fixed(inner.bits)
}

/// A network as ufw keeps it: `10.1.2.3/8` is `10.0.0.0/8`, `10.0.0.1/32` is `10.0.0.1`, `FD00:0::1` is `fd00::1`.
/// What is no network stays as it is, and is refused where it is used.
pub(super) fn normal(text: &str) -> String {
    if !is_network(text) {
        return text.to_owned();
    }
    let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
    let Ok(address) = address.parse::<IpAddr>() else {
        return text.to_owned();
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix
        .and_then(|prefix| prefix.parse::<u32>().ok())
        .unwrap_or(most);
    if prefix == most {
        return address.to_string();
    }
    let network = match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
            IpAddr::V6((u128::from(address) & mask).into())
        }
    };
    format!("{network}/{prefix}")
}

/// Whether it is an address or a network, as a rule takes it: `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`.
pub fn is_network(text: &str) -> bool {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    prefix.is_none_or(|prefix| prefix.parse::<u8>().is_ok_and(|prefix| prefix <= most))
}

#[cfg(test)]
mod tests {
    use super::super::FirewallRule;
    use super::*;

    #[test]
    fn a_network_is_written_as_firewalls_tell_it_back() {
        for (given, kept) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.0.0.1/32", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.1"),
            ("1.2.3.4/0", "0.0.0.0/0"),
            ("10.0.0.0/08", "10.0.0.0/8"),
            ("FD00:0:0::5/8", "fd00::/8"),
            ("fd00:0::1/128", "fd00::1"),
            ("a.example", "a.example"),
        ] {
            let rule = FirewallRule::tcp(9100).from(given);
            assert_eq!(rule.source.as_deref(), Some(kept), "{given}");
        }
    }

    #[test]
    fn a_source_is_an_address_or_a_network() {
        for text in ["10.0.0.1", "10.0.0.0/8", "fd00::/8", "::1"] {
            assert!(is_network(text), "{text}");
        }
        for text in [
            "",
            "10.0.0.0/33",
            "any",
            "10.0.0.1; drop",
            "a.example",
            "fd00::/129",
            "1.2.3.4/",
        ] {
            assert!(!is_network(text), "{text}");
        }
    }

    #[test]
    fn a_network_contains_what_lies_in_it_and_nothing_else() {
        for (network, inside, is_inside) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.1.0.0/16", "10.0.0.0/8", false),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("::/0", "192.0.2.1", false),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("ipset:trusted", "10.0.0.1", false),
            ("aa:bb:cc:dd:ee:ff", "10.0.0.1", false),
        ] {
            assert_eq!(contains(network, inside), is_inside, "{network} {inside}");
        }
    }
}
