//! The fingerprint that tells one machine from every other, also when its disk was copied.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::nic::Nic;
use crate::smbios::Smbios;

/// Fewer marks than this name a machine too weakly: two boards of one batch may share one.
const FEWEST_MARKS: usize = 2;

/// SHA-256, in lower-case hex, over those present of SMBIOS UUID, product serial, board serial, and
/// the sorted permanent addresses of the machine's own Ethernet cards (together one mark).
///
/// `None` without root, since the serials are then unreadable and the same machine would get two
/// fingerprints, and with fewer than two marks. In a container `smbios` is empty already.
pub fn machine_fingerprint(privileged: bool, smbios: &Smbios, nics: &[Nic]) -> Option<String> {
    if !privileged {
        return None;
    }
    let mut macs: Vec<&str> = nics
        .iter()
        .filter(|nic| nic.fixed && nic.link == "ethernet")
        .filter_map(|nic| nic.permanent_mac.as_deref())
        .collect();
    macs.sort_unstable();
    macs.dedup();
    let macs = (!macs.is_empty()).then(|| macs.join(","));

    let marks = [
        ("uuid", smbios.uuid.as_deref()),
        ("product_serial", smbios.product_serial.as_deref()),
        ("board_serial", smbios.board_serial.as_deref()),
        ("macs", macs.as_deref()),
    ];
    let present = marks.iter().filter(|(_, value)| value.is_some()).count();
    if present < FEWEST_MARKS {
        return None;
    }
    // Each value carries its name and length, so that no two sets of marks spell the same bytes.
    let mut text = String::from("aami-machine-1\n");
    for (name, value) in marks {
        if let Some(value) = value {
            let _ = writeln!(text, "{name} {} {value}", value.len());
        }
    }
    Some(hex(&Sha256::digest(text.as_bytes())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nic(name: &str, mac: Option<&str>, fixed: bool) -> Nic {
        Nic {
            name: name.into(),
            permanent_mac: mac.map(str::to_owned),
            link: "ethernet",
            driver: None,
            speed_mbit: None,
            state: None,
            fixed,
        }
    }

    fn board() -> Smbios {
        Smbios {
            uuid: Some("4c4c4544-0042".into()),
            ..Smbios::default()
        }
    }

    #[test]
    fn the_same_machine_has_the_same_fingerprint_whatever_its_cards_are_called() {
        let one = [
            nic("eth0", Some("aa:00:00:00:00:01"), true),
            nic("eth1", Some("aa:00:00:00:00:02"), true),
        ];
        let other = [
            nic("enp2s0", Some("aa:00:00:00:00:02"), true),
            nic("enp1s0", Some("aa:00:00:00:00:01"), true),
            nic("usb0", Some("aa:00:00:00:00:03"), false),
            nic("enp3s0", None, true),
        ];
        let first = machine_fingerprint(true, &board(), &one);
        assert!(
            first.as_deref().is_some_and(aami_model::machine::is_sha256),
            "{first:?}"
        );
        assert_eq!(first, machine_fingerprint(true, &board(), &other));
    }

    #[test]
    fn another_board_or_another_card_is_another_machine() {
        let nics = [nic("eth0", Some("aa:00:00:00:00:01"), true)];
        let first = machine_fingerprint(true, &board(), &nics);
        let mut other = board();
        other.uuid = Some("4c4c4544-0043".into());
        assert_ne!(first, machine_fingerprint(true, &other, &nics));
        let swapped = [nic("eth0", Some("aa:00:00:00:00:02"), true)];
        assert_ne!(first, machine_fingerprint(true, &board(), &swapped));
        // The same text in another field is another mark.
        let serial = |product: bool| Smbios {
            uuid: Some("u".into()),
            product_serial: product.then(|| "x".into()),
            board_serial: (!product).then(|| "x".into()),
            ..Smbios::default()
        };
        assert_ne!(
            machine_fingerprint(true, &serial(true), &[]),
            machine_fingerprint(true, &serial(false), &[])
        );
    }

    #[test]
    fn too_little_is_no_fingerprint() {
        let nics = [nic("eth0", Some("aa:00:00:00:00:01"), true)];
        assert_eq!(machine_fingerprint(false, &board(), &nics), None, "without root");
        assert_eq!(
            machine_fingerprint(true, &Smbios::default(), &nics),
            None,
            "a container"
        );
        assert_eq!(machine_fingerprint(true, &board(), &[]), None, "one mark");
    }
}
