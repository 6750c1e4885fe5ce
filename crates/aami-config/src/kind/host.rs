//! Names and addresses of nodes, and the way to them.

use std::net::IpAddr;

use aami_model::address::{AddressKind, kind_of};
use aami_model::hostname::Hostname;
use serde_json::{Value, json};

use super::{Kind, scalar};
use crate::jump::ProxyJump;
use crate::read::{Path, Reader};
use crate::tree::Node;

/// A host name.
pub(crate) struct HostText;

impl Kind for HostText {
    type Out = Hostname;

    fn read(&self, node: &Node<'_>, path: &Path<'_>, reader: &mut Reader<'_>) -> Option<Hostname> {
        scalar(node, path, reader, &self.words(), |text| text.parse().ok())
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "maxLength": 254})
    }

    fn words(&self) -> String {
        "a host name: letters, digits, `-` and dots".to_owned()
    }
}

/// An address that a node can be reached at.
pub(crate) struct Address;

/// What an address must be, for messages.
pub(crate) const ADDRESS: &str = "an IPv4 or IPv6 address";

/// Reads an address in its one form: an IPv4 address within IPv6 is the IPv4 address. Fails with why it cannot be a
/// node's.
pub(crate) fn address(text: &str) -> Result<IpAddr, &'static str> {
    let Ok(address) = text.parse::<IpAddr>() else {
        let zoned = text
            .split_once('%')
            .is_some_and(|(before, _)| before.parse::<std::net::Ipv6Addr>().is_ok());
        let bracketed = text.starts_with('[');
        let padded = text
            .split('.')
            .map(|part| part.trim_start_matches('0'))
            .map(|part| if part.is_empty() { "0" } else { part })
            .collect::<Vec<_>>()
            .join(".")
            .parse::<IpAddr>()
            .is_ok();
        return Err(if zoned {
            "an address with a zone (`%eth0`) means something on one machine alone"
        } else if bracketed {
            "an IPv6 address stands here without brackets and without a port"
        } else if text.contains('/') {
            "this is a network, not one address"
        } else if padded {
            "a number of an address begins with a zero, which some programs read as octal"
        } else {
            "it is no IPv4 or IPv6 address"
        });
    };
    let address = address.to_canonical();
    match kind_of(address) {
        AddressKind::Routable | AddressKind::Loopback => Ok(address),
        AddressKind::LinkLocal => Err("a link-local address means something on one machine alone"),
        AddressKind::Multicast => Err("this address stands for many machines (multicast or broadcast)"),
        AddressKind::Unspecified => Err("this address stands for no machine"),
    }
}

impl Kind for Address {
    type Out = IpAddr;

    fn read(&self, node: &Node<'_>, path: &Path<'_>, reader: &mut Reader<'_>) -> Option<IpAddr> {
        let given = reader.scalar(node, path, ADDRESS)?;
        match address(&given.text) {
            Ok(address) => {
                reader.known(path, given.text, given.source);
                Some(address)
            }
            Err(why) => {
                reader.refuse_because(node, path, &given.text, why, &format!("Write {ADDRESS}."));
                None
            }
        }
    }

    fn schema(&self) -> Value {
        json!({"type": "string"})
    }

    fn words(&self) -> String {
        ADDRESS.to_owned()
    }
}

/// The hosts on the way to a node.
pub(crate) struct Jump;

impl Kind for Jump {
    type Out = ProxyJump;

    fn read(&self, node: &Node<'_>, path: &Path<'_>, reader: &mut Reader<'_>) -> Option<ProxyJump> {
        scalar(node, path, reader, &self.words(), |text| text.parse().ok())
    }

    fn schema(&self) -> Value {
        json!({"type": "string"})
    }

    fn words(&self) -> String {
        "`[user@]host[:port]`, up to eight with commas between, or `none`".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_form() {
        for (text, wanted) in [
            ("10.0.0.1", "10.0.0.1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("2001:DB8:0:0::1", "2001:db8::1"),
        ] {
            assert_eq!(address(text).unwrap().to_string(), wanted);
        }
    }

    #[test]
    fn what_is_no_nodes_address_is_refused_with_its_reason() {
        for (text, word) in [
            ("10.0.0.256", "no IPv4"),
            ("10.0.0.01", "zero"),
            ("10.0.0.0/24", "network"),
            ("fe80::1%eth0", "zone"),
            ("fe80::1", "link-local"),
            ("[2001:db8::1]:22", "brackets"),
            ("0.0.0.0", "no machine"),
            ("224.0.0.1", "many"),
            ("gpu1", "no IPv4"),
            ("", "no IPv4"),
        ] {
            let why = address(text).unwrap_err();
            assert!(why.contains(word), "{text}: {why}");
        }
    }
}
