//! How NVIDIA's driver stands: what is on the bus, what drives it, and whether its parts fit together.
//!
//! Nothing here runs a vendor's tool; [`crate::gpu`] does. All of it is read, so it answers also when the
//! driver does not.

use serde::Serialize;

use crate::error::one_line;
use crate::host::Host;

/// An NVIDIA GPU on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OnBus {
    /// Its address, `0000:18:00.0`.
    pub address: String,
    /// The kernel driver bound to it, e.g. `nvidia`, `nouveau`, `vfio-pci`.
    pub driver: Option<String>,
}

/// How the driver stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Nvidia {
    /// GPUs on the bus.
    pub gpus: Vec<OnBus>,
    /// How many NVSwitches are on the bus.
    pub switches: usize,
    /// The version of the loaded kernel module.
    pub module: Option<String>,
    /// The version of the library the tools use, `libnvidia-ml.so.1`.
    pub library: Option<String>,
    /// Where that library stands.
    pub library_path: Option<String>,
    /// Whether nouveau is loaded.
    pub nouveau: bool,
    /// The numbered device files, `/dev/nvidia0` and so on.
    pub devices: usize,
    /// Whether `/dev/nvidiactl` is there.
    pub control: bool,
    /// `ActiveState` of the fabric manager's unit; `None` where there is no such unit.
    pub fabric_manager: Option<String>,
}

const BUS: &str = "/sys/bus/pci/devices";
/// Folders the distributions and NVIDIA's own installer put the library into.
const LIBRARIES: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/lib64",
    "/usr/lib/x86_64-linux-gnu/nvidia/current",
];
const FABRIC_MANAGER: &str = "nvidia-fabricmanager.service";

/// Looks at NVIDIA's driver. Reads nothing beyond the bus on a host without its GPUs.
pub fn nvidia(host: &Host<'_>) -> Nvidia {
    let mut found = Nvidia::default();
    for address in host.list(BUS) {
        let text = |file: &str| host.read(&format!("{BUS}/{address}/{file}")).unwrap_or_default();
        let class = text("class");
        if text("vendor") != "0x10de" {
            continue;
        }
        // PCI code assignments: 03 display, 0680 "other bridge", which an NVSwitch is.
        if class.starts_with("0x03") {
            let driver = host.link_name(&format!("{BUS}/{address}/driver"));
            found.gpus.push(OnBus { address, driver });
        } else if class.starts_with("0x0680") {
            found.switches += 1;
        }
    }
    if found.gpus.is_empty() {
        return found;
    }
    found.module = host
        .read("/sys/module/nvidia/version")
        .map(|text| one_line(&text));
    if let Some((path, version)) = library(host) {
        found.library = Some(version);
        found.library_path = Some(path);
    }
    found.nouveau = host.exists("/sys/module/nouveau");
    found.devices = host
        .list("/dev")
        .iter()
        .filter(|name| name.strip_prefix("nvidia").is_some_and(is_number))
        .count();
    found.control = host.exists("/dev/nvidiactl");
    if found.switches > 0 {
        let unit = crate::init::stand(host, &[FABRIC_MANAGER]).into_iter().next();
        found.fabric_manager = unit
            .filter(|unit| unit.load != "not-found")
            .map(|unit| unit.active);
    }
    found
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The newest file `libnvidia-ml.so.VERSION`: the one the link `libnvidia-ml.so.1` leads to.
fn library(host: &Host<'_>) -> Option<(String, String)> {
    for folder in LIBRARIES {
        let versions: Vec<String> = host
            .list(folder)
            .iter()
            .filter_map(|name| name.strip_prefix("libnvidia-ml.so."))
            .filter(|version| version.contains('.'))
            .map(one_line)
            .collect();
        let linked = host.link_name(&format!("{folder}/libnvidia-ml.so.1"));
        let linked = linked.and_then(|name| name.strip_prefix("libnvidia-ml.so.").map(str::to_owned));
        if let Some(version) = linked
            .filter(|version| version.contains('.'))
            .or_else(|| versions.last().cloned())
        {
            return Some((format!("{folder}/libnvidia-ml.so.{version}"), version));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_driver_are_read_apart() {
        let root = crate::made_up::Root::new();
        let host = root.host();
        let write = |path: &str, text: &str| root.write(path, text);
        assert_eq!(nvidia(&host), Nvidia::default());
        write(&format!("{BUS}/0000:18:00.0/vendor"), "0x10de\n");
        write(&format!("{BUS}/0000:18:00.0/class"), "0x030200\n");
        write(&format!("{BUS}/0000:05:00.0/vendor"), "0x10de\n");
        write(&format!("{BUS}/0000:05:00.0/class"), "0x068000\n");
        std::os::unix::fs::symlink(
            "/sys/bus/pci/drivers/nvidia",
            host.path(&format!("{BUS}/0000:18:00.0/driver")),
        )
        .unwrap();
        write("/sys/module/nvidia/version", "535.183.06\n");
        write("/usr/lib64/libnvidia-ml.so.550.90.07", "");
        write("/dev/nvidia0", "");
        write("/dev/nvidia-uvm", "");

        let found = nvidia(&host);

        assert_eq!(found.gpus[0].driver.as_deref(), Some("nvidia"));
        assert_eq!((found.switches, found.devices, found.control), (1, 1, false));
        assert_eq!(
            (found.module.as_deref(), found.library.as_deref()),
            (Some("535.183.06"), Some("550.90.07"))
        );
    }
}
