//! GPUs: how many there are by the PCI bus, and what they are by their vendor's tool.
//!
//! The two are read apart and then put together. The bus cannot hang and is always there; the tool
//! knows models and serial numbers, and fails exactly when something is wrong with a GPU. So the
//! bus decides the number, and a disagreement is a warning somebody should read: a GPU on the bus
//! that its driver does not show is a GPU that is lost.

mod amd;
mod intel;
mod nvidia;
mod pci;

use std::collections::BTreeMap;

use serde::Serialize;

pub use nvidia::table as nvidia_table;

use crate::error::Warning;
use crate::host::Host;

/// Who made a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// NVIDIA.
    Nvidia,
    /// AMD.
    Amd,
    /// Intel.
    Intel,
}

impl Vendor {
    /// Every vendor.
    pub const ALL: [Self; 3] = [Self::Nvidia, Self::Amd, Self::Intel];

    /// The value of the label `gpu_vendor`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nvidia => "nvidia",
            Self::Amd => "amd",
            Self::Intel => "intel",
        }
    }

    /// What people call it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Nvidia => "NVIDIA",
            Self::Amd => "AMD",
            Self::Intel => "Intel",
        }
    }
}

/// One GPU. Everything but the vendor is `None` when nobody says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// Who made it.
    pub vendor: Vendor,
    /// Where it sits, `0000:18:00.0`.
    pub pci_address: Option<String>,
    /// Its model without the vendor's name, e.g. `H100 80GB HBM3`.
    pub model: Option<String>,
    /// The vendor's unique id.
    pub uuid: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Version of its driver.
    pub driver: Option<String>,
}

impl Gpu {
    fn of(vendor: Vendor) -> Self {
        Self {
            vendor,
            pci_address: None,
            model: None,
            uuid: None,
            serial: None,
            memory_bytes: None,
            driver: None,
        }
    }
}

/// What is known of a host's GPUs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Gpus {
    /// Each, by vendor and PCI address.
    pub gpus: Vec<Gpu>,
    /// What went wrong while looking.
    pub warnings: Vec<Warning>,
}

/// What one vendor's tool said: the GPUs it shows, and what it complained of.
type ToolAnswer = (Vec<Gpu>, Vec<Warning>);

/// Looks for GPUs. Tools run only for vendors whose hardware is on the bus, or, where the bus cannot
/// be seen at all, when they are installed.
pub fn gpus(host: &Host<'_>, in_container: bool) -> Gpus {
    let bus = pci::gpus(host);
    let bus_is_visible = !host.list("/sys/bus/pci/devices").is_empty();
    let mut found = Gpus::default();
    for vendor in Vendor::ALL {
        let on_bus: Vec<Gpu> = bus.iter().filter(|gpu| gpu.vendor == vendor).cloned().collect();
        if on_bus.is_empty() && bus_is_visible {
            continue;
        }
        let (mut shown, mut warnings) = match vendor {
            Vendor::Nvidia => nvidia::ask(host, !on_bus.is_empty()),
            Vendor::Amd => amd::ask(host, !on_bus.is_empty()),
            Vendor::Intel => intel::ask(host, !on_bus.is_empty()),
        };
        // A container sees the whole bus of its host but only the GPUs given to it.
        if !in_container || shown.is_empty() {
            let lost = merge(&mut shown, on_bus);
            if !lost.is_empty() && warnings.is_empty() {
                warnings.push(Warning::tool(format!(
                    "{} on the PCI bus at {} not shown by the vendor's tool",
                    plural(lost.len(), vendor),
                    lost.join(", ")
                )));
            }
        }
        found.gpus.append(&mut shown);
        found.warnings.append(&mut warnings);
    }
    found
}

fn plural(count: usize, vendor: Vendor) -> String {
    let title = vendor.title();
    match count {
        1 => format!("1 {title} GPU is"),
        n => format!("{n} {title} GPUs are"),
    }
}

/// Adds to `shown` the GPUs of the bus that the tool did not show, fills the models in that only
/// sysfs knows, and answers the addresses of those added. A tool that does not say addresses is
/// believed about those it shows.
fn merge(shown: &mut Vec<Gpu>, on_bus: Vec<Gpu>) -> Vec<String> {
    let mut without_address = shown.iter().filter(|gpu| gpu.pci_address.is_none()).count();
    let mut lost = Vec::new();
    for gpu in on_bus {
        if let Some(same) = shown
            .iter_mut()
            .find(|known| known.pci_address == gpu.pci_address)
        {
            same.model = same.model.take().or(gpu.model);
            same.memory_bytes = same.memory_bytes.or(gpu.memory_bytes);
        } else if without_address > 0 {
            without_address -= 1;
        } else {
            lost.extend(gpu.pci_address.clone());
            shown.push(gpu);
        }
    }
    shown.sort_by(|a, b| a.pci_address.cmp(&b.pci_address));
    lost
}

impl Gpus {
    /// The vendor most of them come from.
    pub fn vendor(&self) -> Option<Vendor> {
        most_frequent(self.gpus.iter().map(|gpu| gpu.vendor))
    }

    /// The model most of that vendor's are.
    pub fn model(&self) -> Option<&str> {
        let vendor = self.vendor()?;
        let of_vendor = self.gpus.iter().filter(|gpu| gpu.vendor == vendor);
        most_frequent(of_vendor.filter_map(|gpu| gpu.model.as_deref()))
    }

    /// The memory most of that model have.
    pub fn memory_bytes(&self) -> Option<u64> {
        let model = self.model()?;
        let of_model = self.gpus.iter().filter(|gpu| gpu.model.as_deref() == Some(model));
        most_frequent(of_model.filter_map(|gpu| gpu.memory_bytes))
    }

    /// How many of that vendor's there are.
    pub fn count(&self) -> u32 {
        let count = self.vendor().map_or(0, |vendor| {
            self.gpus.iter().filter(|gpu| gpu.vendor == vendor).count()
        });
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// `8x H100 80GB HBM3 (NVIDIA)`, one for each model.
    pub fn summary(&self) -> Vec<String> {
        let mut kinds: BTreeMap<(Vendor, Option<&str>), usize> = BTreeMap::new();
        for gpu in &self.gpus {
            *kinds.entry((gpu.vendor, gpu.model.as_deref())).or_default() += 1;
        }
        kinds
            .into_iter()
            .map(|((vendor, model), count)| match model {
                Some(model) => format!("{count}x {model} ({})", vendor.title()),
                None => format!("{count}x {} GPU of unknown model", vendor.title()),
            })
            .collect()
    }
}

/// The value that comes up most often; the smaller of two that come up as often, so that the answer
/// does not depend on the order.
fn most_frequent<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    counts
        .into_iter()
        .max_by(|(a, n), (b, m)| n.cmp(m).then(b.cmp(a)))
        .map(|(value, _)| value)
}

/// The ways in which vendors write "there is no value" into a cell.
fn measured(cell: &str) -> Option<&str> {
    let cell = cell.trim();
    let is_absent =
        cell.is_empty() || cell.starts_with('[') || cell.eq_ignore_ascii_case("n/a") || cell == "0x0";
    (!is_absent).then_some(cell)
}

/// A PCI address in sysfs' form, four digits of domain and lower case: tools write
/// `00000000:18:00.0`, `0000:3A:00.0` and `18:00.0`.
pub fn pci_address(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let (rest, function) = text.rsplit_once('.')?;
    let mut parts = rest.rsplit(':');
    let (device, bus) = (parts.next()?, parts.next()?);
    let domain = parts.next().unwrap_or("0");
    // from_str_radix alone would take a sign.
    let hex = |text: &str| {
        let is_hex = text.bytes().all(|b| b.is_ascii_hexdigit());
        u32::from_str_radix(text, 16).ok().filter(|_| is_hex)
    };
    if parts.next().is_some() || bus.len() != 2 || device.len() != 2 || function.len() != 1 {
        return None;
    }
    Some(format!(
        "{:04x}:{:02x}:{:02x}.{}",
        hex(domain)?,
        hex(bus)?,
        hex(device)?,
        hex(function)?
    ))
}

/// Runs a vendor's tool; whatever keeps it from answering becomes a warning, except that it is
/// simply not there on a host without such a GPU.
fn tool(
    host: &Host<'_>,
    hardware_is_there: bool,
    program: &str,
    arguments: &[&str],
) -> Result<crate::command::Output, Option<Warning>> {
    use crate::command::CommandError;

    match host.commands.run(program, arguments) {
        Ok(output) => Ok(output),
        Err(CommandError::NotInstalled(_)) if !hardware_is_there => Err(None),
        Err(error) => Err(Some(Warning::tool(error.to_string()))),
    }
}

/// The JSON in a tool's output; lines of complaint may stand before it.
fn json_in(text: &str) -> Option<serde_json::Value> {
    let mut rest = text;
    loop {
        let start = rest.find(['{', '['])?;
        rest = &rest[start..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<serde_json::Value>();
        match values.next() {
            Some(Ok(value)) if value.is_object() || value.is_array() => return Some(value),
            // "[WARNING]" is no JSON: look behind the line it stands on.
            _ => rest = rest.split_once('\n')?.1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_compared_in_one_form() {
        for text in ["00000000:3A:00.0", "0000:3a:00.0", "3A:00.0", " 0000:3a:00.0 "] {
            assert_eq!(pci_address(text).as_deref(), Some("0000:3a:00.0"), "{text}");
        }
        for text in [
            "",
            "N/A",
            "3a:00",
            "x:3a:00.0",
            "1:2:3a:00.0",
            "é3:00.0",
            "0000:+a:00.0",
        ] {
            assert_eq!(pci_address(text), None, "{text}");
        }
    }

    #[test]
    fn json_is_found_behind_complaints() {
        let text = "WARNING: [rocm] card in low-power state\n[WARNING] x\n{\"card0\": {}}\n";
        assert_eq!(json_in(text), Some(serde_json::json!({"card0": {}})));
        assert_eq!(json_in("nothing [ here"), None);
    }

    #[test]
    fn the_commonest_model_is_the_label() {
        let gpu = |model: &str| Gpu {
            model: Some(model.into()),
            ..Gpu::of(Vendor::Nvidia)
        };
        let gpus = Gpus {
            gpus: vec![gpu("T400"), gpu("H100"), gpu("H100"), Gpu::of(Vendor::Amd)],
            warnings: Vec::new(),
        };
        assert_eq!(
            (gpus.vendor(), gpus.model(), gpus.count()),
            (Some(Vendor::Nvidia), Some("H100"), 3)
        );
        assert_eq!(
            gpus.summary(),
            [
                "2x H100 (NVIDIA)",
                "1x T400 (NVIDIA)",
                "1x AMD GPU of unknown model"
            ]
        );
    }

    proptest! {
        #[test]
        fn no_text_breaks_a_parser(text in "(?s).{0,200}") {
            let _ = pci_address(&text);
            let _ = json_in(&text);
            let _ = measured(&text);
        }
    }
}
