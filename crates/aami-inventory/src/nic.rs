//! Network cards: interfaces with a device behind them, and the address burnt into each.

use serde::Serialize;

use crate::error::one_line;
use crate::host::Host;

/// One network card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Nic {
    /// Interface name, e.g. `enp1s0f0`.
    pub name: String,
    /// The address it came with, `aa:bb:cc:dd:ee:ff`; `None` when it carries one that was set by
    /// software and the original is not told.
    pub permanent_mac: Option<String>,
    /// `ethernet` or `infiniband`.
    pub link: &'static str,
    /// Kernel driver.
    pub driver: Option<String>,
    /// Mbit/s; `None` while the link is down.
    pub speed_mbit: Option<u32>,
    /// `up`, `down`, ... as the kernel says.
    pub state: Option<String>,
    /// Whether it belongs to the machine: neither plugged into USB nor a virtual function, both of
    /// which come and go.
    pub fixed: bool,
}

/// Every network card, by name.
pub fn nics(host: &Host<'_>) -> Vec<Nic> {
    host.list("/sys/class/net")
        .into_iter()
        .filter_map(|name| nic(host, name))
        .collect()
}

fn nic(host: &Host<'_>, name: String) -> Option<Nic> {
    let folder = format!("/sys/class/net/{name}");
    // Bridges, bonds, VLANs, veth and loopback have no device behind them.
    if !host.exists(&format!("{folder}/device")) {
        return None;
    }
    let text = |file: &str| host.read(&format!("{folder}/{file}")).map(|text| one_line(&text));
    // ARPHRD_ETHER and ARPHRD_INFINIBAND of include/uapi/linux/if_arp.h.
    let link = match text("type").as_deref() {
        Some("1") => "ethernet",
        Some("32") => "infiniband",
        _ => return None,
    };
    // A card in a bond carries the bond's address; the kernel keeps its own beside it. Otherwise
    // addr_assign_type 0 (NET_ADDR_PERM) says that nobody has set another one.
    let permanent = text("bonding_slave/perm_hwaddr").or_else(|| {
        let is_permanent = text("addr_assign_type").as_deref() == Some("0");
        is_permanent.then(|| text("address")).flatten()
    });
    let bus = host.link_name(&format!("{folder}/device/subsystem"));
    let is_virtual_function = host.exists(&format!("{folder}/device/physfn"));
    Some(Nic {
        permanent_mac: permanent.and_then(|text| mac(&text)),
        link,
        driver: host.link_name(&format!("{folder}/device/driver")),
        speed_mbit: text("speed")
            .and_then(|text| text.parse().ok())
            .filter(|mbit| *mbit > 0),
        state: text("operstate"),
        fixed: bus.as_deref() != Some("usb") && !is_virtual_function,
        name,
    })
}

/// A six-byte address in lower case that is neither zero, nor all ones, nor multicast. InfiniBand's
/// twenty-byte addresses are none: their first bytes change with every start of the driver.
fn mac(text: &str) -> Option<String> {
    let bytes: Vec<u8> = text
        .split(':')
        .map(|part| {
            // from_str_radix alone would take a sign.
            let is_octet = part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
            u8::from_str_radix(part, 16).ok().filter(|_| is_octet)
        })
        .collect::<Option<_>>()?;
    let is_one = bytes.len() == 6 && bytes.iter().any(|b| *b != 0) && bytes[0] & 1 == 0;
    is_one.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_that_name_nobody_are_absent() {
        assert_eq!(mac("AA:bb:cc:00:01:02").as_deref(), Some("aa:bb:cc:00:01:02"));
        for text in [
            "00:00:00:00:00:00",
            "ff:ff:ff:ff:ff:ff",
            "01:00:5e:00:00:01",
            "80:00:00:48:fe:80:00:00:00:00:00:00:a0:88:c2:03:00:aa:00:01",
            "aa:bb:cc:00:01",
            "aa:bb:cc:00:01:+2",
            "aa:bb:cc:00:01:é",
            "",
        ] {
            assert_eq!(mac(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "[0-9a-fA-F:é+]{0,30}") {
            let _ = mac(&text);
        }
    }
}
