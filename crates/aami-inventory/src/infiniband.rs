//! InfiniBand and RoCE ports, from sysfs: `ibstat` is often not installed and its text varies.

use serde::Serialize;

use crate::error::one_line;
use crate::host::Host;

/// One port of one adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Port {
    /// Adapter, e.g. `mlx5_0`.
    pub device: String,
    /// Port number.
    pub port: u32,
    /// `ACTIVE`, `DOWN`, `INIT`, `ARMED`; `None` when the driver does not answer.
    pub state: Option<String>,
    /// `LinkUp`, `Polling`, ...
    pub physical_state: Option<String>,
    /// Gbit/s.
    pub rate_gbit: Option<u32>,
    /// Generation of the link, e.g. `NDR`.
    pub generation: Option<String>,
    /// `InfiniBand` or `Ethernet` (RoCE).
    pub link_layer: Option<String>,
    /// Firmware of the adapter.
    pub firmware: Option<String>,
}

/// Every port, by adapter and number.
pub fn ports(host: &Host<'_>) -> Vec<Port> {
    let mut ports = Vec::new();
    for device in host.list("/sys/class/infiniband") {
        let folder = format!("/sys/class/infiniband/{device}");
        let firmware = host.read(&format!("{folder}/fw_ver")).map(|text| one_line(&text));
        for number in host.list(&format!("{folder}/ports")) {
            let Ok(port) = number.parse() else { continue };
            let text = |file: &str| {
                host.read(&format!("{folder}/ports/{number}/{file}"))
                    .map(|text| one_line(&text))
            };
            let (rate_gbit, generation) = text("rate").map_or((None, None), |text| rate(&text));
            ports.push(Port {
                device: device.clone(),
                port,
                state: text("state").and_then(|text| named(&text)),
                physical_state: text("phys_state").and_then(|text| named(&text)),
                rate_gbit,
                generation,
                link_layer: text("link_layer"),
                firmware: firmware.clone(),
            });
        }
    }
    ports
}

/// `4: ACTIVE` is ACTIVE.
fn named(text: &str) -> Option<String> {
    let (number, name) = text.split_once(':')?;
    number.trim().parse::<u32>().ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// `400 Gb/sec (4X NDR)` is 400 and NDR; `2.5 Gb/sec` is 2.
fn rate(text: &str) -> (Option<u32>, Option<String>) {
    let gbit = text.split_once(" Gb/sec").and_then(|(number, _)| {
        let whole = number.trim().split('.').next()?;
        whole.parse().ok()
    });
    let generation = text
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .and_then(|(inside, _)| inside.split_whitespace().nth(1))
        .map(str::to_owned);
    (gbit, generation)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sysfs_spells_rates_and_states_its_own_way() {
        assert_eq!(rate("400 Gb/sec (4X NDR)"), (Some(400), Some("NDR".into())));
        assert_eq!(rate("2.5 Gb/sec"), (Some(2), None));
        assert_eq!(rate("<read error: EINVAL>"), (None, None));
        assert_eq!(named("4: ACTIVE").as_deref(), Some("ACTIVE"));
        assert_eq!(named("ACTIVE"), None);
    }

    proptest! {
        #[test]
        fn no_text_breaks_a_parser(text in ".{0,60}") {
            let _ = rate(&text);
            let _ = named(&text);
        }
    }
}
