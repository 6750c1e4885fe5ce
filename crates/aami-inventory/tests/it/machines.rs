//! Machines of several kinds, and what is wrong with them.

use aami_inventory::{Inventory, InventoryError};

use crate::folder::Machine;

const SMI_TWO: &str = "index, uuid, pci.bus_id, name, serial, driver_version, memory.total [MiB]\n\
    0, GPU-1, 00000000:18:00.0, NVIDIA H100 80GB HBM3, 1650, 590.48.01, 81559 MiB\n\
    1, GPU-2, 00000000:2A:00.0, NVIDIA H100 80GB HBM3, 1651, 590.48.01, 81559 MiB\n";

/// A GPU server as it is delivered: two GPUs, two cards in a bond, an NVMe disk, a BMC's VGA.
fn gpu_server() -> Machine {
    let mut machine = Machine::named("gpu-01");
    machine.file(
        "/etc/hosts",
        "127.0.0.1 localhost\n127.0.1.1 gpu-01.example.com gpu-01",
    );
    machine.file(
        "/etc/os-release",
        "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"",
    );
    machine.file("/proc/sys/kernel/osrelease", "6.1.0-18-amd64");
    machine.file("/proc/cpuinfo", "processor : 0\nmodel name : EPYC\nprocessor : 1");
    machine.file("/proc/meminfo", "MemTotal:       16265432 kB");
    machine.file("/etc/machine-id", "0123456789abcdef0123456789abcdef");
    machine.file(
        "/sys/class/dmi/id/product_uuid",
        "4C4C4544-0042-3510-8052-B4C04F4A3333",
    );
    machine.file("/sys/class/dmi/id/product_serial", "Default string");
    machine.pci("0000:18:00.0", "0x10de", "0x030200");
    machine.pci("0000:2a:00.0", "0x10de", "0x030200");
    machine.pci("0000:03:00.0", "0x1a03", "0x030000");
    for (name, original) in [("eth0", "aa:00:00:00:00:01"), ("eth1", "aa:00:00:00:00:02")] {
        let folder = format!("/sys/class/net/{name}");
        machine.link(&format!("{folder}/device"), "../../../0000:81:00.0");
        machine.file(&format!("{folder}/type"), "1");
        machine.file(&format!("{folder}/address"), "aa:00:00:00:00:01");
        machine.file(&format!("{folder}/addr_assign_type"), "3");
        machine.file(&format!("{folder}/bonding_slave/perm_hwaddr"), original);
    }
    machine.file("/sys/class/net/bond0/type", "1");
    machine.file("/sys/class/net/bond0/address", "aa:00:00:00:00:01");
    machine.link("/sys/block/nvme0n1/device", "../../nvme0");
    machine.file("/sys/block/nvme0n1/size", "3750748848");
    machine.file("/sys/block/loop0/size", "100");
    machine.program("nvidia-smi", 0, SMI_TWO);
    machine
}

#[test]
fn a_gpu_server_is_known_in_full() {
    let machine = gpu_server();
    let inventory = Inventory::collect(&machine.host()).unwrap();

    assert_eq!(inventory.hostname.as_str(), "gpu-01.example.com");
    let info = inventory.system_info();
    assert_eq!(info.check(), Ok(()));
    assert_eq!((info.os.as_str(), info.os_version.as_str()), ("debian", "12"));
    assert_eq!(
        (info.cpu_cores, info.memory_gb),
        (2, 16),
        "15.5 GiB is a 16 GB machine"
    );
    assert_eq!(info.gpu_count, Some(2));
    let labels = inventory.labels();
    assert_eq!(labels.check(), Ok(()));
    assert_eq!(labels.0["gpu_model"], "H100 80GB HBM3");
    assert_eq!(labels.0["gpu_vendor"], "nvidia");

    assert_eq!(inventory.disks.len(), 1, "a loop device is no disk");
    assert_eq!(inventory.disks[0].size_bytes, 1_920_383_410_176);
    let macs: Vec<_> = inventory
        .nics
        .iter()
        .map(|nic| nic.permanent_mac.as_deref())
        .collect();
    assert_eq!(
        macs,
        [Some("aa:00:00:00:00:01"), Some("aa:00:00:00:00:02")],
        "the addresses the cards came with, not the bond's"
    );
    assert_eq!(
        inventory.smbios.product_serial, None,
        "a placeholder is no serial"
    );
    assert!(inventory.machine.is_some());
    assert!(
        inventory.gpus.warnings.is_empty(),
        "{:?}",
        inventory.gpus.warnings
    );
}

#[test]
fn a_driver_that_does_not_match_its_library_does_not_hide_the_gpus() {
    let mut machine = gpu_server();
    machine.program(
        "nvidia-smi",
        18,
        "Failed to initialize NVML: Driver/library version mismatch\n",
    );
    machine.file(
        "/proc/driver/nvidia/gpus/0000:18:00.0/information",
        "Model: \t\t NVIDIA H100 PCIe",
    );

    let gpus = Inventory::collect(&machine.host()).unwrap().gpus;

    assert_eq!(gpus.count(), 2);
    assert_eq!(gpus.model(), Some("H100 PCIe"));
    assert_eq!(gpus.warnings.len(), 1, "{:?}", gpus.warnings);
    assert_eq!(gpus.warnings[0].code, "VENDOR_TOOL_FAILED");
    assert!(gpus.warnings[0].message.contains("version mismatch"));
}

#[test]
fn a_tool_that_hangs_is_a_warning() {
    let mut machine = gpu_server();
    machine.hanging_program("nvidia-smi");
    let gpus = Inventory::collect(&machine.host()).unwrap().gpus;
    assert_eq!(gpus.count(), 2);
    assert_eq!(gpus.warnings[0].message, "nvidia-smi gave no answer within 20 s");
}

#[test]
fn a_gpu_the_driver_lost_is_still_counted_and_named() {
    let machine = gpu_server();
    machine.pci("0000:3a:00.0", "0x10de", "0x030200");
    let gpus = Inventory::collect(&machine.host()).unwrap().gpus;
    assert_eq!(gpus.count(), 3);
    assert!(
        gpus.warnings[0].message.contains("0000:3a:00.0"),
        "{:?}",
        gpus.warnings
    );
}

#[test]
fn a_machine_without_gpus_runs_no_vendor_tool() {
    let machine = Machine::named("web-01");
    machine.pci("0000:03:00.0", "0x1a03", "0x030000");
    let inventory = Inventory::collect(&machine.host()).unwrap();
    assert_eq!(inventory.gpus.gpus, Vec::new());
    assert!(inventory.labels().0.is_empty());
    assert!(
        !machine.ran.borrow().iter().any(|program| program.contains("smi")),
        "{:?}",
        machine.ran
    );
}

#[test]
fn a_container_is_given_neither_its_hosts_serials_nor_all_its_gpus() {
    let mut machine = gpu_server();
    machine.file("/run/systemd/container", "systemd-nspawn");
    let first_only: String = SMI_TWO
        .lines()
        .take(2)
        .fold(String::new(), |text, line| text + line + "\n");
    machine.program("nvidia-smi", 0, &first_only);

    let inventory = Inventory::collect(&machine.host()).unwrap();

    assert_eq!(inventory.system.container.as_deref(), Some("systemd-nspawn"));
    assert_eq!(inventory.smbios, aami_inventory::smbios::Smbios::default());
    assert_eq!(inventory.machine, None);
    assert_eq!(inventory.gpus.count(), 1);
}

#[test]
fn amd_cards_are_read_from_rocm_smi_or_sysfs() {
    let mut machine = Machine::named("mi300");
    machine.pci("0000:05:00.0", "0x1002", "0x120000");
    machine.pci("0000:26:00.0", "0x1002", "0x120000");
    machine.file(
        "/sys/bus/pci/devices/0000:05:00.0/product_name",
        "AMD Instinct MI300X OAM",
    );
    let by_sysfs = Inventory::collect(&machine.host()).unwrap().gpus;
    assert_eq!(
        (by_sysfs.count(), by_sysfs.model()),
        (2, Some("Instinct MI300X OAM"))
    );
    assert_eq!(
        by_sysfs.warnings.len(),
        2,
        "neither tool is installed: {:?}",
        by_sysfs.warnings
    );

    machine.program(
        "rocm-smi",
        0,
        include_str!("../fixtures/rocm_smi_showallinfo.json.txt"),
    );
    let by_tool = Inventory::collect(&machine.host()).unwrap().gpus;
    assert_eq!(by_tool.warnings, Vec::new());
    assert_eq!(by_tool.gpus[0].memory_bytes, Some(206_141_652_992));
}

#[test]
fn ports_of_infiniband_are_read_from_sysfs() {
    let machine = Machine::named("ib-01");
    for line in include_str!("../fixtures/ib_sysfs.txt").lines() {
        if let Some((path, content)) = line.split_once('\t').filter(|_| !line.starts_with('#')) {
            machine.file(&format!("/sys/class/infiniband/{path}"), content);
        }
    }
    let ports = Inventory::collect(&machine.host()).unwrap().infiniband;
    let seen: Vec<_> = ports
        .iter()
        .map(|port| (port.device.as_str(), port.state.as_deref(), port.rate_gbit))
        .collect();
    assert_eq!(
        seen,
        [
            ("irdma0", None, None),
            ("mlx5_0", Some("ACTIVE"), Some(400)),
            ("mlx5_2", Some("DOWN"), Some(10)),
            ("mlx5_3", Some("INIT"), Some(200)),
        ]
    );
}

#[test]
fn a_name_that_cannot_be_used_is_said_with_its_place_in_one_line() {
    let long = "x".repeat(10_000);
    for (name, shown) in [
        ("gpu_01\u{7}", r#""gpu_01\u{7}""#),
        // All of it is the name: what stands before a line end is not what the machine is called.
        ("gpu-01\nup 1", r#""gpu-01\nup 1""#),
        ("ev\"il", r#""ev\"il""#),
        // As bytes that are no UTF-8 are read.
        ("gpu\u{fffd}01", "\"gpu\u{fffd}01\""),
        (long.as_str(), &long[..80]),
    ] {
        // Whether the kernel has it, or a file where the kernel has none.
        let [kernel, file] = [name, "(none)"].map(Machine::named);
        file.file("/etc/hostname", name);
        for (machine, place) in [(kernel, "/proc/sys/kernel/hostname"), (file, "/etc/hostname")] {
            // A file may go on after the name.
            if place == "/etc/hostname" && name.contains('\n') {
                continue;
            }
            let error = Inventory::collect(&machine.host()).unwrap_err();
            assert!(
                matches!(error, InventoryError::BadHostname { .. }),
                "{name:?}: {error}"
            );
            assert_eq!(error.code().symbol, "HOSTNAME_INVALID");
            let said = error.to_string();
            assert!(said.contains(shown) && said.contains(place), "{said}");
            assert!(said.len() < 400 && !said.contains(char::is_control), "{said:?}");
        }
    }
    let nameless = Machine::named("(none)");
    let error = Inventory::collect(&nameless.host()).unwrap_err();
    assert!(matches!(error, InventoryError::NoHostname), "{error}");
    assert_eq!(error.code().symbol, "HOSTNAME_INVALID");
}
