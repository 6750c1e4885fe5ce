//! GPUs and what belongs to them. Their state keeps a node's GPU exporter from working, and nothing else.

use aami_model::code;

use super::super::facts::Facts;
use super::super::fix::Fix;
use super::super::report::{Category, Check};
use super::super::request::Request;

pub(super) fn checks(request: &Request, facts: &Facts) -> Vec<Check> {
    if !facts.is_node() {
        let check = check("gpu", "GPU").quiet();
        return vec![check.skipped("a control plane needs no GPU")];
    }
    let mut checks = vec![found(facts)];
    if facts.choice.wants_gpu(request, facts) {
        checks.push(driver(facts));
        checks.push(versions(facts));
        checks.push(devices(facts));
        checks.push(fabric_manager(facts));
        checks.push(tool(facts));
    }
    checks.push(infiniband(facts));
    let disks = facts.nvme;
    let check = check("nvme", "NVMe").measured(disks).from("/sys/block").quiet();
    checks.push(check.passed(format!("{disks} disks")));
    checks
}

fn check(key: &str, title: &str) -> Check {
    Check::new(Category::Hardware, key, title)
}

fn found(facts: &Facts) -> Check {
    let list = facts.gpus.summary().join(", ");
    let check = check("gpu", "GPU").from("/sys/bus/pci/devices and the vendor's tool");
    if list.is_empty() {
        return check.measured(0).passed("none found");
    }
    check.measured(facts.gpus.gpus.len()).passed(list)
}

fn driver(facts: &Facts) -> Check {
    let nvidia = &facts.nvidia;
    let check = check("gpu_driver", "GPU driver")
        .quiet()
        .from("/sys/bus/pci/devices/*/driver");
    if nvidia.gpus.is_empty() {
        return check.skipped("no NVIDIA GPU is on the PCI bus");
    }
    let on_nouveau = nvidia
        .gpus
        .iter()
        .any(|gpu| gpu.driver.as_deref() == Some("nouveau"));
    if on_nouveau || (nvidia.nouveau && nvidia.module.is_none()) {
        return check
            .measured("nouveau")
            .failed(
                code::GPU_NOUVEAU,
                "nouveau",
                "The driver nouveau holds the GPU, which keeps NVIDIA's own from being loaded",
            )
            .advice("Write 'blacklist nouveau' to /etc/modprobe.d/nouveau.conf, install NVIDIA's driver, and reboot");
    }
    let without: Vec<&str> = nvidia
        .gpus
        .iter()
        .filter(|gpu| gpu.driver.is_none())
        .map(|gpu| gpu.address.as_str())
        .collect();
    // A container sees the bus of its host; a driver that answers there is enough.
    if without.is_empty() || nvidia.module.is_some() && facts.system.container.is_some() {
        let version = nvidia.module.as_deref().unwrap_or("bound");
        return check.measured(version).passed(version);
    }
    let list = without.join(", ");
    check
        .measured(list.as_str())
        .failed(
            code::GPU_DRIVER_MISSING,
            format!("none is bound to {list}"),
            format!("No driver is bound to the NVIDIA GPU at {list}"),
        )
        .advice("Install NVIDIA's driver, or load it: 'sudo modprobe nvidia'")
}

/// The loaded module and the library have to be of one version.
fn versions(facts: &Facts) -> Check {
    let nvidia = &facts.nvidia;
    let check = check("gpu_versions", "GPU driver and library")
        .quiet()
        .from(format!(
            "/sys/module/nvidia/version, {}",
            nvidia.library_path.as_deref().unwrap_or("libnvidia-ml.so.1")
        ));
    let (Some(module), Some(library)) = (&nvidia.module, &nvidia.library) else {
        return check.skipped("one of them is not installed");
    };
    let check = check.measured(module.as_str()).limit(library.as_str());
    if module == library {
        return check.passed(format!("both {module}"));
    }
    check
        .failed(
            code::GPU_DRIVER_MISMATCH,
            format!("{module} and {library}"),
            format!(
                "The loaded NVIDIA driver is {module} and its library is {library}; they must be the same"
            ),
        )
        .remedy("Load the new one by a reboot", &["sudo", "systemctl", "reboot"])
}

fn devices(facts: &Facts) -> Check {
    let nvidia = &facts.nvidia;
    let check = check("gpu_devices", "GPU device files").quiet().from("/dev");
    if nvidia.module.is_none() {
        return check.skipped("NVIDIA's driver is not loaded");
    }
    let wanted = nvidia.gpus.len();
    let check = check.measured(nvidia.devices).limit(wanted);
    // A container is given some of its host's.
    let enough = nvidia.devices >= wanted || facts.system.container.is_some() && nvidia.devices > 0;
    if nvidia.control && enough {
        return check.passed(format!("{} of {wanted}", nvidia.devices));
    }
    let missing = if nvidia.control {
        "/dev/nvidia0 and so on"
    } else {
        "/dev/nvidiactl"
    };
    check
        .failed(
            code::GPU_DEVICE_MISSING,
            format!("{} of {wanted}; {missing} missing", nvidia.devices),
            format!("NVIDIA's driver is loaded, and {missing} is not there"),
        )
        .remedy("Make them", &["sudo", "nvidia-modprobe", "-u", "-c0"])
}

fn fabric_manager(facts: &Facts) -> Check {
    let nvidia = &facts.nvidia;
    let check = check("fabric_manager", "Fabric manager")
        .quiet()
        .from("systemctl show nvidia-fabricmanager");
    if nvidia.switches == 0 {
        return check.skipped("there is no NVSwitch on the PCI bus");
    }
    let unit = "nvidia-fabricmanager.service";
    let switches = nvidia.switches;
    match nvidia.fabric_manager.as_deref() {
        Some("active") => check.measured("active").passed("active"),
        Some(state) => check
            .measured(state)
            .failed(
                code::FABRIC_MANAGER_DOWN,
                state,
                format!("This machine has NVSwitches ({switches}), and the fabric manager is {state}"),
            )
            .remedy(
                "Start it",
                &["sudo", "systemctl", "enable", "--now", "nvidia-fabricmanager"],
            )
            .fixed_by(Fix::StartUnit(unit.to_owned())),
        None => check
            .failed(
                code::FABRIC_MANAGER_DOWN,
                "not installed",
                format!("This machine has NVSwitches ({switches}), and no fabric manager is installed"),
            )
            .advice("Install the package nvidia-fabricmanager in the driver's version"),
    }
}

/// What is said where a GPU is lost: by us, of one that its tool does not show; by NVIDIA's tool, which also ends with 15
/// for that (nvidia-smi(1), RETURN VALUE).
const LOST: [&str; 5] = [
    "not shown by the vendor's tool",
    "GPU is lost",
    "fallen off the bus",
    "Unable to determine the device handle",
    "(exit status 15)",
];

/// What the vendor's tool complained of.
fn tool(facts: &Facts) -> Check {
    let check = check("gpu_tool", "GPU tool")
        .quiet()
        .from("nvidia-smi, rocm-smi, amd-smi, xpu-smi");
    let Some(warning) = facts.gpus.warnings.first() else {
        return check.passed("answers");
    };
    let said = &warning.message;
    if LOST.iter().any(|words| said.contains(words)) {
        let message = format!("A GPU is lost: {said}");
        return check
            .failed(code::GPU_LOST, "a GPU is lost", message)
            .remedy("Look for Xid errors", &["sudo", "dmesg", "--level=err,warn"]);
    }
    let check = check.measured(said.as_str());
    check
        .failed(
            code::VENDOR_TOOL_FAILED,
            "does not answer",
            format!("The GPU's tool failed: {said}"),
        )
        .remedy("Run it by hand", &["nvidia-smi"])
}

fn infiniband(facts: &Facts) -> Check {
    let check = check("infiniband", "InfiniBand")
        .from("/sys/class/infiniband")
        .quiet();
    let ports = facts.fabric.len();
    let active = facts
        .fabric
        .iter()
        .filter(|port| port.state.as_deref() == Some("ACTIVE"))
        .count();
    check.measured(ports).passed(match ports {
        0 => "none found".to_owned(),
        _ => format!("{ports} ports, {active} active"),
    })
}
