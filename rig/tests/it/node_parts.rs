//! What the stories of nodes share: a GPU that is not there, its exporter's stand-in, a firewall of the site's own.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Node, Picture, cache, wait_until};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::site::{ARCH, Site};

/// What `nvidia-smi` says of the GPUs this node has.
const SMI: &str = r#"#!/bin/sh
count=$(cat /etc/gpus)
n=0
case "$1" in *utilization.gpu*)
    while [ $n -lt $count ]; do
        echo "$n, 00000000:1$n:00.0, 7, 1024, 81559, 41, 93.5"
        n=$((n + 1))
    done
    exit 0 ;;
esac
echo 'index, uuid, pci.bus_id, name, serial, driver_version, memory.total [MiB]'
while [ $n -lt $count ]; do
    echo "$n, GPU-$n, 00000000:1$n:00.0, NVIDIA H100 80GB HBM3, 165$n, 590.48.01, 81559 MiB"
    n=$((n + 1))
done
"#;

/// Gives a node two GPUs, as far as the PCI bus and the driver's own tool tell.
pub(crate) fn give_gpus(node: &Node) -> Result<()> {
    node.write("/usr/local/bin/nvidia-smi", SMI.as_bytes(), 0o755)?;
    lose_gpus(node, 2)
}

/// Leaves it `count` of them.
pub(crate) fn lose_gpus(node: &Node, count: u32) -> Result<()> {
    node.write("/etc/gpus", format!("{count}\n").as_bytes(), 0o644)?;
    let addresses: Vec<String> = (0..count).map(|n| format!("0000:1{n}:00.0")).collect();
    on_the_bus(node, ("0x10de", "0x030200"), &addresses)
}

/// Puts GPUs of a vendor and a class at these addresses of a node's PCI bus, and takes all others off it.
pub(crate) fn on_the_bus(node: &Node, (vendor, class): (&str, &str), addresses: &[String]) -> Result<()> {
    let put = |address: &String| {
        format!(
            "mkdir $bus/{address}; echo {vendor} > $bus/{address}/vendor; echo {class} > $bus/{address}/class; "
        )
    };
    let all: String = addresses.iter().map(put).collect();
    node.sh(&format!(
        "set -e; bus=/sys/bus/pci/devices; \
         grep -q \" $bus tmpfs\" /proc/mounts || mount -t tmpfs none $bus; rm -rf $bus/*; {all}"
    ))?
    .ok()
    .map(drop)
}

/// Has the control plane hand out the stand-in for dcgm-exporter, the way a site hands out a build of its own.
pub(crate) fn hand_out_dcgm_exporter(site: &Site) -> Result<()> {
    DCGM_EXPORTER.hand_out(site)
}

/// The stand-in for dcgm-exporter.
pub(crate) const DCGM_EXPORTER: Offered = Offered {
    name: "dcgm_exporter",
    version: "4.5.3",
    port: 9400,
    program: "dcgm-exporter",
    stands_in: env!("CARGO_BIN_EXE_stand-in-dcgm-exporter"),
    more: "",
};

/// The stand-in for all-smi.
pub(crate) const ALL_SMI: Offered = Offered {
    name: "all_smi",
    version: "0.11.0",
    port: 9401,
    program: "all-smi",
    stands_in: env!("CARGO_BIN_EXE_stand-in-all-smi"),
    more: "",
};

/// An exporter as a site offers a build of its own.
pub(crate) struct Offered {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) port: u16,
    pub(crate) program: &'static str,
    /// What takes its place here.
    pub(crate) stands_in: &'static str,
    /// More lines of its entry.
    pub(crate) more: &'static str,
}

/// Puts the stand-in for dcgm-exporter into a folder of components.
pub(crate) fn add_dcgm_exporter(folder: &Path) -> Result<()> {
    DCGM_EXPORTER.add_to(folder)
}

impl Offered {
    /// Has the control plane hand it out.
    pub(crate) fn hand_out(&self, site: &Site) -> Result<()> {
        self.add_to(&site.data().join("dist").join(ARCH))
    }

    /// Puts it into a folder of components, and its entry into the catalogue there.
    pub(crate) fn add_to(&self, folder: &Path) -> Result<()> {
        let bytes = std::fs::read(self.stands_in)?;
        std::fs::write(folder.join(self.program), &bytes)?;
        let catalogue = folder.join("components.toml");
        let text = std::fs::read_to_string(&catalogue)?;
        std::fs::write(&catalogue, text + &self.entry(&bytes)).context("cannot write the catalogue")
    }

    /// What a catalogue says of it, whose file holds `bytes`.
    pub(crate) fn entry(&self, bytes: &[u8]) -> String {
        let sum: String = Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let Self {
            name,
            version,
            port,
            program,
            more,
            ..
        } = self;
        format!(
            "\n[[component]]\nname = \"{name}\"\nversion = \"{version}\"\nkind = \"exporter\"\n\
             license = \"Apache-2.0\"\nports = [{port}]\narchive = \"none\"\n{more}\n[component.build.{ARCH}]\n\
             file = \"{program}\"\nsha256 = \"{sum}\"\nprograms = {{ {program} = \"{program}\" }}\n"
        )
    }
}

/// The rules of a site that lets nothing in but SSH.
const RULES: &str = "\
flush ruleset
table inet filter {
    chain input {
        type filter hook input priority 0; policy drop;
        ct state established,related accept
        iif lo accept
        ip protocol icmp accept
        tcp dport 22 accept
    }
}
";

/// Puts nftables with such rules on a node of this machine's release, and has them in force.
pub(crate) fn close(node: &Node) -> Result<()> {
    let packages = [
        "nftables",
        "libnftables1",
        "libjansson4",
        "libnftnl11",
        "libmnl0",
        "libxtables12",
        "libedit2",
        "libbsd0",
        "libmd0",
        "libgmp10",
    ];
    let root = cache::packages(None, &packages)?;
    let tar = std::process::Command::new("tar")
        .args([
            "--create",
            "--exclude=./usr/share",
            "--exclude=./etc",
            "--directory",
        ])
        .arg(&root)
        .arg(".")
        .output()?;
    ensure!(tar.status.success(), "{}", String::from_utf8_lossy(&tar.stderr));
    let unpack = "tar --extract --directory=/ --keep-directory-symlink --no-same-owner && ldconfig";
    node.sh_within(Duration::from_secs(60), unpack, &tar.stdout)?
        .ok()?;
    node.write("/etc/nftables.conf", RULES.as_bytes(), 0o644)?;
    node.sh("nft -f /etc/nftables.conf")?.ok().map(drop)
}

/// The ruleset in force, without counters.
pub(crate) fn ruleset(node: &Node) -> Result<String> {
    node.sh("nft list ruleset")?.ok()
}

/// The metrics of one exporter of a node, asked on the node itself.
pub(crate) fn metrics(node: &Node, port: u16) -> Result<String> {
    node.sh(&format!("curl -sf http://127.0.0.1:{port}/metrics"))?
        .ok()
}

/// Waits until node_exporter serves that a check came to `status`.
pub(crate) fn serves_status(node: &Node, check: &str, status: u8) -> Result<()> {
    serves(
        node,
        &["aami_check_status{", &format!("check=\"{check}\"")],
        f64::from(status),
    )
}

/// Waits until node_exporter serves a series that has all of `parts` in its name and labels, with this value.
pub(crate) fn serves(node: &Node, parts: &[&str], value: f64) -> Result<()> {
    let found = wait_until(Duration::from_secs(100), &format!("{parts:?} is {value}"), || {
        let text = metrics(node, 9100)?;
        let near: Vec<&str> = text.lines().filter(|line| line.starts_with("aami_")).collect();
        let is_it = |line: &&str| {
            let parsed = line
                .rsplit_once(' ')
                .and_then(|(_, text)| text.parse::<f64>().ok());
            parts.iter().all(|part| line.contains(part)) && parsed == Some(value)
        };
        ensure!(near.iter().any(is_it), "{near:#?}");
        Ok(())
    });
    found.with_context(|| {
        let said = node.sh(
            "systemctl status --no-pager --full aami-checks.timer aami-checks.service; aami-agent checks list; \
             ls -la /var/lib/node_exporter/textfile /var/lib/aami/checks",
        );
        said.map_or_else(|error| error.to_string(), |said| said.said())
    })
}

/// What `aami-agent status --json` says of each step that is not well.
pub(crate) fn not_well(node: &Node) -> Result<Vec<String>> {
    not_well_by(node, "aami-agent")
}

/// The same, asked of an agent by its path.
pub(crate) fn not_well_by(node: &Node, agent: &str) -> Result<Vec<String>> {
    let said = node.sh(&format!("{agent} status --json"))?;
    let report: serde_json::Value =
        serde_json::from_str(&said.stdout).with_context(|| format!("not JSON: {}", said.said()))?;
    let steps = report["steps"].as_array().context("no steps")?;
    let bad = steps
        .iter()
        .filter(|step| !matches!(step["standing"].as_str(), Some("holds" | "not_applicable")));
    let bad: Vec<String> = bad
        .map(|step| {
            format!(
                "{}: {}",
                step["id"].as_str().unwrap_or(""),
                step["reason"].as_str().unwrap_or("")
            )
        })
        .collect();
    ensure!(
        (said.code == 0) == bad.is_empty(),
        "exit {} with {bad:?}\n{}",
        said.code,
        said.said()
    );
    Ok(bad)
}

/// The exporters a node is registered with: what each is, and its port.
pub(crate) fn registered(site: &Site, node: &str) -> Result<Vec<String>> {
    let known = site.node(node)?;
    let exporters = known["exporters"].as_array().cloned().unwrap_or_default();
    let name = |exporter: &Value| format!("{}-{}", exporter["type"].as_str().unwrap_or(""), exporter["port"]);
    Ok(exporters.iter().map(name).collect())
}

/// What exporters that came and went left on a node since `before`, beside the wish, the plan's own memory, what it
/// tells of its last run, and what checks and the agent write meanwhile.
pub(crate) fn left_since(before: &Picture, node: &Node) -> Result<Vec<String>> {
    let own = [
        "check",
        "/agent/spool/",
        "exporters.json",
        "/install/default/node/",
        "/textfile/aami_install_",
    ];
    let mut changes = before.changes_in(&node.picture()?);
    changes.retain(|change| !own.iter().any(|own| change.contains(own)));
    Ok(changes)
}

/// Waits until an exporter answers on the node.
pub(crate) fn answers(node: &Node, port: u16) -> Result<()> {
    wait_until(Duration::from_secs(20), &format!("port {port} answers"), || {
        metrics(node, port).map(drop)
    })
}
