//! The starter set on a node with disks, NVMe, InfiniBand, GPUs and a mount that all break: each check finds it, says it
//! in the metrics that node_exporter serves, and says when it is mended.

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Release};

use crate::node_checks::round;
use crate::node_parts::{give_gpus, hand_out_dcgm_exporter, lose_gpus, serves, serves_status};
use crate::site::{Site, Typing as _};

/// Two disks, an NVMe controller and an InfiniBand port below `/sys`, in a folder that can be written; beside what the
/// kernel has there. Nothing says any more that this machine is a container, which has no disks of its own.
const HARDWARE: &str = "set -e; hw=/run/hw; mkdir -p $hw/block $hw/class; cp -a /sys/class/. $hw/class/ 2>/dev/null || :; cd $hw; \
    rm -rf class/nvme class/infiniband; \
    mkdir -p block/sda/device block/nvme0n1/device class/nvme/nvme0/hwmon0 class/infiniband/mlx5_0/ports/1; \
    echo 1953525168 | tee block/sda/size block/nvme0n1/size; \
    echo live > class/nvme/nvme0/state; echo 41850 > class/nvme/nvme0/hwmon0/temp1_input; \
    echo 84850 > class/nvme/nvme0/hwmon0/temp1_crit; \
    cd class/infiniband/mlx5_0; echo 28.39.1002 > fw_ver; echo '4: ACTIVE' > ports/1/state; \
    echo '5: LinkUp' > ports/1/phys_state; echo '400 Gb/sec (4X NDR)' > ports/1/rate; echo InfiniBand > ports/1/link_layer; \
    mount --bind $hw/block /sys/block; mount --bind $hw/class /sys/class; \
    rm -f /run/systemd/container; mount --bind /dev/null /proc/1/environ";

/// smartmontools' program: it takes the question it is asked, and answers as the disk is. Bit 3 of its exit status says
/// that a disk fails (smartctl(8)).
const SMARTCTL: &str = r#"#!/bin/sh
[ "$1 $2 $3" = '--json --health --attributes' ] || exit 1
cat "/etc/smart/${4#/dev/}" || exit 2
! grep -q '"passed": false' "/etc/smart/${4#/dev/}" || exit 8
"#;

const SATA: &str = r#"{"smart_status": {"passed": true}, "temperature": {"current": 33}, "power_on_time": {"hours": 9001},
 "ata_smart_attributes": {"table": [{"id": 5, "raw": {"value": 0}}, {"id": 197, "raw": {"value": 0}}]}}
"#;

const NVME: &str = r#"{"smart_status": {"passed": true}, "temperature": {"current": 41},
 "nvme_smart_health_information_log": {"critical_warning": 0, "media_errors": 0, "percentage_used": 3}}
"#;

/// What is broken and how, the status and words of the check that notices, what it measured, and how it is mended.
struct Fault {
    check: &'static str,
    breaks: &'static str,
    status: (u8, &'static str),
    says: &'static str,
    measures: Option<(&'static [&'static str], f64)>,
    mends: &'static str,
}

static FAULTS: [Fault; 9] = [
    Fault {
        check: "mounts",
        breaks: "umount /srv/data",
        status: (2, "critical"),
        says: "/srv/data is not mounted",
        measures: None,
        mends: "mount /srv/data",
    },
    Fault {
        check: "mounts",
        breaks: "mount -o remount,ro /srv/data",
        status: (2, "critical"),
        says: "/srv/data became read-only",
        measures: None,
        mends: "mount -o remount,rw /srv/data",
    },
    Fault {
        check: "disk_smart",
        breaks: r#"sed -i 's/"passed": true/"passed": false/' /etc/smart/sda"#,
        status: (2, "critical"),
        says: "sda says that it fails",
        measures: Some((&["name=\"health_passed\"", "device=\"sda\""], 0.0)),
        mends: r#"sed -i 's/"passed": false/"passed": true/' /etc/smart/sda"#,
    },
    Fault {
        check: "disk_smart",
        breaks: r#"sed -i 's/"id": 197, "raw": {"value": 0}/"id": 197, "raw": {"value": 8}/' /etc/smart/sda"#,
        status: (1, "warning"),
        says: "sda has 8 sectors it cannot read",
        measures: Some((&["name=\"pending_sectors\"", "device=\"sda\""], 8.0)),
        mends: r#"sed -i 's/{"value": 8}/{"value": 0}/' /etc/smart/sda"#,
    },
    Fault {
        check: "disk_smart",
        breaks: r#"sed -i 's/"critical_warning": 0/"critical_warning": 4/' /etc/smart/nvme0n1"#,
        status: (2, "critical"),
        says: "nvme0n1 has the critical warning 4",
        measures: Some((&["name=\"critical_warning\"", "device=\"nvme0n1\""], 4.0)),
        mends: r#"sed -i 's/"critical_warning": 4/"critical_warning": 0/' /etc/smart/nvme0n1"#,
    },
    Fault {
        check: "nvme",
        breaks: "echo dead > /run/hw/class/nvme/nvme0/state",
        status: (2, "critical"),
        says: "nvme0 is dead",
        measures: Some((&["name=\"live\"", "device=\"nvme0\""], 0.0)),
        mends: "echo live > /run/hw/class/nvme/nvme0/state",
    },
    Fault {
        check: "nvme",
        breaks: "echo 90850 > /run/hw/class/nvme/nvme0/hwmon0/temp1_input",
        status: (2, "critical"),
        says: "nvme0 is at 91 degrees Celsius, its limit",
        measures: Some((&["name=\"temperature_celsius\"", "check=\"nvme\""], 90.85)),
        mends: "echo 41850 > /run/hw/class/nvme/nvme0/hwmon0/temp1_input",
    },
    Fault {
        // There is light, and nobody manages the subnet.
        check: "infiniband",
        breaks: "echo '2: INIT' > /run/hw/class/infiniband/mlx5_0/ports/1/state",
        status: (2, "critical"),
        says: "mlx5_0 port 1 is INIT",
        measures: Some((&["name=\"port_active\"", "device=\"mlx5_0\""], 0.0)),
        mends: "echo '4: ACTIVE' > /run/hw/class/infiniband/mlx5_0/ports/1/state",
    },
    Fault {
        // The cable is out.
        check: "infiniband",
        breaks: "cd /run/hw/class/infiniband/mlx5_0/ports/1; echo '1: DOWN' > state; echo '2: Polling' > phys_state",
        status: (1, "warning"),
        says: "mlx5_0 port 1 is DOWN (Polling)",
        measures: Some((&["name=\"port_active\"", "device=\"mlx5_0\""], 0.0)),
        mends: "cd /run/hw/class/infiniband/mlx5_0/ports/1; echo '4: ACTIVE' > state; echo '5: LinkUp' > phys_state",
    },
];

/// An enrolled node with all that hardware, which is well.
fn enrolled(net: &Net, site: &Site) -> Result<Node> {
    hand_out_dcgm_exporter(site)?;
    let node = Node::boot(net, Release::Bookworm, "gpu-01")?;
    give_gpus(&node)?;
    let table = "tmpfs /srv/data tmpfs defaults 0 0\n";
    node.write("/etc/fstab", table.as_bytes(), 0o644)?;
    node.sh("mkdir -p /srv/data && mount /srv/data")?.ok()?;
    let token = site.token(&["--name", "rack"])?;
    node.types_well(&token.one_line)?;
    node.sh(HARDWARE)?.ok()?;
    Ok(node)
}

#[test]
fn each_starter_check_finds_what_breaks_says_it_in_metrics_and_says_when_it_is_mended() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = enrolled(&net, &site)?;

    // Given no smartmontools, then nobody pretends to know how the disks are;
    let (status, message) = round(&node, "disk_smart")?;
    ensure!(
        status == "unknown" && message.contains("smartmontools"),
        "{status}: {message}"
    );
    serves_status(&node, "disk_smart", 3)?;
    for (disk, text) in [("sda", SATA), ("nvme0n1", NVME)] {
        node.write(&format!("/etc/smart/{disk}"), text.as_bytes(), 0o644)?;
    }
    node.write("/usr/local/sbin/smartctl", SMARTCTL.as_bytes(), 0o755)?;
    // and given them, all is well.
    for check in ["mounts", "disk_smart", "nvme", "infiniband", "gpu_count"] {
        let (status, message) = round(&node, check)?;
        ensure!(status == "ok", "{check}: {status}: {message}");
        serves_status(&node, check, 0)?;
    }
    let link = [
        "check=\"infiniband\"",
        "name=\"port_rate_gbit\"",
        "device=\"mlx5_0\"",
    ];
    serves(&node, &link, 400.0)?;

    for fault in &FAULTS {
        let at = || format!("{}: {}", fault.check, fault.breaks);
        node.sh(fault.breaks)?.ok().with_context(at)?;
        let (status, message) = round(&node, fault.check).with_context(at)?;
        ensure!(
            status == fault.status.1 && message.contains(fault.says),
            "{}: {status}: {message}",
            at()
        );
        serves_status(&node, fault.check, fault.status.0).with_context(at)?;
        if let Some((series, value)) = fault.measures {
            serves(&node, &[series, &["aami_check_value{"]].concat(), value).with_context(at)?;
        }
        node.sh(fault.mends)?.ok().with_context(at)?;
        let (status, message) = round(&node, fault.check).with_context(at)?;
        ensure!(status == "ok", "{}, mended: {status}: {message}", at());
        serves_status(&node, fault.check, 0).with_context(at)?;
    }
    lose_gpus(&node, 1)?;
    let (status, message) = round(&node, "gpu_count")?;
    ensure!(
        status == "critical" && message.starts_with("1 of 2 GPUs"),
        "{status}: {message}"
    );
    serves_status(&node, "gpu_count", 2)?;
    let visible = ["check=\"gpu_count\"", "name=\"gpus_visible\""];
    serves(&node, &visible, 1.0)?;
    lose_gpus(&node, 2)?;
    ensure!(round(&node, "gpu_count")?.0 == "ok");
    serves_status(&node, "gpu_count", 0)
}

/// The first fault that a check finds.
fn first_of(check: &str) -> Option<&'static Fault> {
    FAULTS.iter().find(|fault| fault.check == check)
}

#[test]
fn what_breaks_is_found_by_the_timers_own_rounds_too() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = enrolled(&net, &site)?;
    let checks = ["mounts", "nvme", "infiniband"];
    for check in checks {
        serves_status(&node, check, 0)?;
    }
    // Given what nobody asks about breaks, then the unit, which may do next to nothing, finds it by itself,
    let first = || checks.into_iter().filter_map(first_of);
    for fault in first() {
        node.sh(fault.breaks)?.ok()?;
    }
    for check in checks {
        serves_status(&node, check, 2)?;
    }
    // and that it is well again.
    for fault in first() {
        node.sh(fault.mends)?.ok()?;
    }
    for check in checks {
        serves_status(&node, check, 0)?;
    }
    Ok(())
}
