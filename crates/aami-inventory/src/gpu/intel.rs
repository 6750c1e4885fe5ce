//! Intel: `xpu-smi discovery`.

use serde_json::Value;

use super::{Gpu, ToolAnswer, Vendor, json_in, measured, pci_address, tool};
use crate::error::{Warning, one_line};
use crate::host::Host;

pub(super) fn ask(host: &Host<'_>, hardware_is_there: bool) -> ToolAnswer {
    let output = match tool(host, hardware_is_there, "xpu-smi", &["discovery", "-j"]) {
        Ok(output) => output,
        Err(warning) => return (Vec::new(), warning.into_iter().collect()),
    };
    let gpus = json_in(&output.stdout)
        .map(|value| parse(&value))
        .unwrap_or_default();
    if gpus.is_empty() {
        let said = one_line(&output.stdout);
        return (gpus, vec![Warning::tool(format!("xpu-smi shows no GPU: {said}"))]);
    }
    (gpus, Vec::new())
}

fn parse(value: &Value) -> Vec<Gpu> {
    let Some(devices) = value.get("device_list").and_then(Value::as_array) else {
        return Vec::new();
    };
    let read = |device: &Value| {
        let text = |name: &str| measured(device.get(name)?.as_str()?).map(one_line);
        // Virtual functions are slices of a GPU that is listed itself.
        if text("device_function_type").is_some_and(|kind| kind != "physical") {
            return None;
        }
        text("device_name").map(|name| Gpu {
            model: Some(short_model(&name)),
            uuid: text("uuid"),
            pci_address: text("pci_bdf_address").and_then(|text| pci_address(&text)),
            ..Gpu::of(Vendor::Intel)
        })
    };
    devices.iter().filter_map(read).collect()
}

/// `Intel(R) Data Center GPU Max 1550` is `Data Center GPU Max 1550`.
fn short_model(name: &str) -> String {
    name.strip_prefix("Intel(R) ").unwrap_or(name).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_discovered_gpu_is_read() {
        let value = json_in(include_str!("../../tests/fixtures/xpu_smi_discovery.json.txt")).unwrap();
        let gpus = parse(&value);
        assert_eq!(gpus.len(), 1);
        assert_eq!(gpus[0].model.as_deref(), Some("Data Center GPU Max 1550"));
        assert_eq!(gpus[0].pci_address.as_deref(), Some("0000:3a:00.0"));
    }

    proptest! {
        #[test]
        fn no_json_breaks_it(text in r#"\{"device_list": \[?[\[\]{}",:a-z0-9 ]{0,100}"#) {
            if let Some(value) = json_in(&text) {
                let _ = parse(&value);
            }
        }
    }
}
