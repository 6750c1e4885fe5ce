//! GPUs as the PCI bus shows them, with what their drivers say in sysfs and procfs.

use super::{Gpu, Vendor};
use crate::error::one_line;
use crate::host::Host;

const DEVICES: &str = "/sys/bus/pci/devices";

/// Every GPU on the bus, by address.
pub(super) fn gpus(host: &Host<'_>) -> Vec<Gpu> {
    host.list(DEVICES)
        .into_iter()
        .filter_map(|address| gpu(host, address))
        .collect()
}

fn gpu(host: &Host<'_>, address: String) -> Option<Gpu> {
    let text = |file: &str| {
        host.read(&format!("{DEVICES}/{address}/{file}"))
            .map(|text| one_line(&text))
    };
    let vendor = is_gpu(&text("vendor")?, &text("class")?, &address)?;
    // A slice given to virtual machines is not another GPU.
    if host.exists(&format!("{DEVICES}/{address}/physfn")) {
        return None;
    }
    let mut gpu = Gpu::of(vendor);
    match vendor {
        // Neither needs the vendor's tool, so both still answer when its library does not match
        // the driver.
        Vendor::Nvidia => {
            let information = host.read(&format!("/proc/driver/nvidia/gpus/{address}/information"));
            gpu.model = information
                .as_deref()
                .and_then(|text| field(text, "Model"))
                .map(|model| super::nvidia::short_model(&model));
            gpu.uuid = information.as_deref().and_then(|text| field(text, "GPU UUID"));
        }
        Vendor::Amd => {
            gpu.model = text("product_name").map(|model| super::amd::short_model(&model));
            gpu.memory_bytes = text("mem_info_vram_total").and_then(|text| text.parse().ok());
        }
        Vendor::Intel => {}
    }
    gpu.pci_address = Some(address);
    Some(gpu)
}

/// Whether a function is a GPU, and whose. Classes are those of the PCI code assignments: 03 display
/// (00 VGA, 02 3D, 80 other), 1200 processing accelerator, which AMD's Instinct cards are. The
/// ASPEED or Matrox chip of a BMC is of class 0300 too, but of neither vendor; Intel's graphics on
/// bus 00 is part of the processor.
fn is_gpu(vendor: &str, class: &str, address: &str) -> Option<Vendor> {
    let class = class.strip_prefix("0x")?.get(..4)?;
    let is_display = class.starts_with("03");
    match vendor {
        "0x10de" if is_display => Some(Vendor::Nvidia),
        "0x1002" if is_display || class == "1200" => Some(Vendor::Amd),
        "0x8086" if is_display && address.split(':').nth(1) != Some("00") => Some(Vendor::Intel),
        _ => None,
    }
}

/// A line `Name: \t value` of `/proc/driver/nvidia/gpus/*/information`.
fn field(text: &str, name: &str) -> Option<String> {
    let (_, value) = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)?;
    // A driver without a working GPU writes question marks into the UUID.
    Some(one_line(value)).filter(|value| !value.is_empty() && !value.contains('?'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_the_console_of_a_bmc_is_no_gpu() {
        for (vendor, class, address, expected) in [
            ("0x10de", "0x030200", "0000:18:00.0", Some(Vendor::Nvidia)),
            ("0x10de", "0x040300", "0000:18:00.1", None),
            ("0x10de", "0x068000", "0000:05:00.0", None),
            ("0x1002", "0x120000", "0000:05:00.0", Some(Vendor::Amd)),
            ("0x8086", "0x038000", "0000:3a:00.0", Some(Vendor::Intel)),
            ("0x8086", "0x030000", "0000:00:02.0", None),
            ("0x1a03", "0x030000", "0000:03:00.0", None),
            ("0x102b", "0x030000", "0000:03:00.0", None),
            ("0x10de", "0x", "0000:18:00.0", None),
        ] {
            assert_eq!(is_gpu(vendor, class, address), expected, "{vendor} {class}");
        }
    }
}
