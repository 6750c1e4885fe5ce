//! AMD: `amd-smi`, or `rocm-smi` where only that is installed.

use serde_json::Value;

use super::{Gpu, ToolAnswer, Vendor, json_in, measured, pci_address, tool};
use crate::error::{Warning, one_line};
use crate::host::Host;

const AMD_SMI: [&str; 5] = ["static", "--asic", "--bus", "--vram", "--json"];
const ROCM_SMI: [&str; 7] = [
    "--showproductname",
    "--showuniqueid",
    "--showserial",
    "--showbus",
    "--showmeminfo",
    "vram",
    "--json",
];

pub(super) fn ask(host: &Host<'_>, hardware_is_there: bool) -> ToolAnswer {
    let mut warnings = Vec::new();
    for (program, question, parse) in [
        ("amd-smi", AMD_SMI.as_slice(), amd_smi as fn(&Value) -> Vec<Gpu>),
        ("rocm-smi", ROCM_SMI.as_slice(), rocm_smi),
    ] {
        match tool(host, hardware_is_there, program, question) {
            Ok(output) => {
                let gpus = json_in(&output.stdout)
                    .map(|value| parse(&value))
                    .unwrap_or_default();
                if !gpus.is_empty() {
                    return (gpus, Vec::new());
                }
                let said = [&output.stderr, &output.stdout]
                    .into_iter()
                    .map(|text| one_line(text));
                let said = said.into_iter().find(|line| !line.is_empty()).unwrap_or_default();
                warnings.push(Warning::tool(format!("{program} shows no GPU: {said}")));
            }
            Err(warning) => warnings.extend(warning),
        }
    }
    (Vec::new(), warnings)
}

/// `amd-smi ... --json`: a list in some releases, `{"gpu_data": [...]}` in others; `"N/A"` may stand
/// in the place of an object at any depth.
fn amd_smi(value: &Value) -> Vec<Gpu> {
    let list = value.get("gpu_data").unwrap_or(value);
    let Some(entries) = list.as_array() else {
        return Vec::new();
    };
    let read = |entry: &Value| {
        entry.get("gpu")?.as_u64()?;
        let text = |path: &str| {
            let text = entry.pointer(path)?.as_str()?;
            measured(text).map(one_line)
        };
        // {"value": 196592, "unit": "MB"}; the unit is mebibytes whatever its name says
        // (amdsmi_interface.py divides bytes by 1024 twice).
        let megabytes = |path: &str| {
            entry
                .pointer(path)?
                .get("value")?
                .as_u64()?
                .checked_mul(1024 * 1024)
        };
        Some(Gpu {
            model: text("/asic/market_name").map(|name| short_model(&name)),
            serial: text("/asic/asic_serial"),
            pci_address: text("/bus/bdf").and_then(|text| pci_address(&text)),
            memory_bytes: megabytes("/vram/size").or_else(|| megabytes("/mem_usage/total_vram")),
            ..Gpu::of(Vendor::Amd)
        })
    };
    entries.iter().filter_map(read).collect()
}

/// `rocm-smi ... --json`: `{"card0": {...}, "system": {...}}`, every value a string, the names in
/// another case from release to release.
fn rocm_smi(value: &Value) -> Vec<Gpu> {
    let Some(cards) = value.as_object() else {
        return Vec::new();
    };
    let read = |(name, card): (&String, &Value)| {
        let fields = card.as_object().filter(|_| name.starts_with("card"))?;
        let text = |names: &[&str]| {
            let (_, value) = fields
                .iter()
                .find(|(key, _)| names.iter().any(|name| key.eq_ignore_ascii_case(name)))?;
            measured(value.as_str()?).map(one_line)
        };
        let driver = value.pointer("/system/Driver version").and_then(Value::as_str);
        Some(Gpu {
            model: text(&["Card series", "Device name"]).map(|name| short_model(&name)),
            uuid: text(&["Unique ID"]),
            serial: text(&["Serial number"]),
            pci_address: text(&["PCI bus"]).and_then(|text| pci_address(&text)),
            memory_bytes: text(&["VRAM total memory (B)"]).and_then(|text| text.parse().ok()),
            driver: driver.map(one_line),
            ..Gpu::of(Vendor::Amd)
        })
    };
    cards.iter().filter_map(read).collect()
}

/// `AMD Instinct MI300X OAM` is `Instinct MI300X OAM`.
pub(super) fn short_model(name: &str) -> String {
    name.strip_prefix("AMD ").unwrap_or(name).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rocm_smi_is_read_whatever_the_case_of_its_names() {
        let value = json_in(include_str!("../../tests/fixtures/rocm_smi_showallinfo.json.txt")).unwrap();
        let gpus = rocm_smi(&value);
        assert_eq!(gpus.len(), 2, "the entry named system is no card");
        for (gpu, address) in gpus.iter().zip(["0000:05:00.0", "0000:26:00.0"]) {
            assert_eq!(gpu.model.as_deref(), Some("Instinct MI300X OAM"));
            assert_eq!(gpu.pci_address.as_deref(), Some(address));
            assert_eq!(gpu.memory_bytes, Some(206_141_652_992));
            assert_eq!(gpu.driver.as_deref(), Some("6.10.5"));
        }
        assert_eq!(gpus[1].serial, None);
    }

    #[test]
    fn amd_smi_is_read_in_both_its_shapes() {
        let list = json_in(include_str!(
            "../../tests/fixtures/amd_smi_metric_list_shape.json.txt"
        ))
        .unwrap();
        assert_eq!(amd_smi(&list).len(), 1);
        let object = json_in(include_str!(
            "../../tests/fixtures/amd_smi_metric_object_shape.json.txt"
        ))
        .unwrap();
        let gpus = amd_smi(&object);
        assert_eq!(gpus.len(), 2);
        assert_eq!(gpus[0].memory_bytes, Some(294_896 * 1024 * 1024));
        assert_eq!(gpus[1].memory_bytes, None, "N/A in the place of an object");
    }

    #[test]
    fn amd_smi_static_names_the_card() {
        let value = serde_json::json!([{
            "gpu": 0,
            "asic": {"market_name": "AMD Instinct MI300X", "asic_serial": "0x1A2B"},
            "bus": {"bdf": "0000:05:00.0"},
            "vram": {"size": {"value": 196_592, "unit": "MB"}},
        }]);
        let gpus = amd_smi(&value);
        assert_eq!(gpus[0].model.as_deref(), Some("Instinct MI300X"));
        assert_eq!(gpus[0].pci_address.as_deref(), Some("0000:05:00.0"));
        assert_eq!(gpus[0].memory_bytes, Some(196_592 * 1024 * 1024));
    }

    proptest! {
        #[test]
        fn no_json_breaks_it(text in r#"[\[\]{}",:a-z0-9 ]{0,200}"#) {
            if let Some(value) = json_in(&text) {
                let _ = amd_smi(&value);
                let _ = rocm_smi(&value);
            }
        }
    }
}
