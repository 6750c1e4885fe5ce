//! Disks: what the kernel lists as a block device with hardware (or a hypervisor) behind it.

use serde::Serialize;

use crate::error::one_line;
use crate::host::Host;

/// One disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// Kernel name, e.g. `nvme0n1`.
    pub name: String,
    /// Bytes.
    pub size_bytes: u64,
    /// As the device says.
    pub model: Option<String>,
    /// As the device says.
    pub serial: Option<String>,
    /// World-wide name, e.g. `eui.0025385b21404321`.
    pub wwn: Option<String>,
    /// Whether it turns; `None` where the kernel does not say.
    pub rotational: Option<bool>,
}

/// Every disk, by name. Loop devices, RAM disks, device-mapper and md devices have nothing behind
/// them and are left out; so are optical drives and drives without a medium.
pub fn disks(host: &Host<'_>) -> Vec<Disk> {
    host.list("/sys/block")
        .into_iter()
        .filter(|name| !name.starts_with("sr") && !name.starts_with("fd"))
        .filter_map(|name| disk(host, name))
        .collect()
}

fn disk(host: &Host<'_>, name: String) -> Option<Disk> {
    let folder = format!("/sys/block/{name}");
    if !host.exists(&format!("{folder}/device")) {
        return None;
    }
    let text = |file: &str| host.read(&format!("{folder}/{file}")).map(|text| one_line(&text));
    // In units of 512 bytes whatever the disk's sector size is (Documentation/block/stat.rst).
    let size_bytes = text("size")?.parse::<u64>().ok()?.checked_mul(512)?;
    if size_bytes == 0 {
        return None;
    }
    Some(Disk {
        size_bytes,
        model: text("device/model"),
        serial: text("device/serial").or_else(|| text("serial")),
        wwn: text("wwid").or_else(|| text("device/wwid")),
        rotational: text("queue/rotational").and_then(|flag| match flag.as_str() {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        }),
        name,
    })
}
