//! `aami-agent inventory`.

use aami_inventory::{Host, Inventory, SystemCommands};
use aami_model::Exit;
use clap::Args;

use super::failure::Failure;
use super::screen;

/// Show what this machine is: system, processor, memory, disks, network cards, GPUs
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// As JSON, with everything
    #[arg(long)]
    pub(crate) json: bool,
}

const GIB: u64 = 1024 * 1024 * 1024;

impl Show {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let commands = SystemCommands::default();
        let host = Host::this(&commands);
        let inventory = Inventory::collect(&host)?;
        if self.json {
            screen::json(&inventory);
        } else {
            for (name, value) in rows(&inventory, host.privileged) {
                screen::line(&format!("{name:<13} {value}"));
            }
        }
        Ok(Exit::Ok)
    }
}

fn rows(inventory: &Inventory, privileged: bool) -> Vec<(&'static str, String)> {
    let info = inventory.system_info();
    let system = &inventory.system;
    let unknown = || "unknown".to_owned();
    let mut rows = vec![
        ("Host name", inventory.hostname.to_string()),
        ("System", format!("{} ({})", system.os_name, info.architecture)),
        ("Kernel", system.kernel.clone().unwrap_or_else(unknown)),
        (
            "Init",
            system.systemd.map_or_else(
                || "not systemd".to_owned(),
                |version| format!("systemd {version}"),
            ),
        ),
        (
            "Processor",
            format!(
                "{} ({} cores)",
                inventory.cpu.model.clone().unwrap_or_else(unknown),
                info.cpu_cores
            ),
        ),
        ("Memory", format!("{} GiB", info.memory_gb)),
    ];
    rows.extend(system.container.iter().map(|kind| ("Container", kind.clone())));
    for disk in &inventory.disks {
        let model = disk.model.as_deref().unwrap_or("model unknown");
        rows.push((
            "Disk",
            format!("{}  {} GiB  {model}", disk.name, disk.size_bytes / GIB),
        ));
    }
    for nic in &inventory.nics {
        let speed = nic
            .speed_mbit
            .map_or_else(String::new, |mbit| format!("  {mbit} Mbit/s"));
        let mac = nic.permanent_mac.as_deref().unwrap_or("no permanent address");
        rows.push(("Network card", format!("{}  {mac}{speed}", nic.name)));
    }
    rows.extend(inventory.gpus.summary().into_iter().map(|line| ("GPU", line)));
    for port in &inventory.infiniband {
        let rate = port
            .rate_gbit
            .map_or_else(unknown, |gbit| format!("{gbit} Gbit/s"));
        let state = port.state.as_deref().unwrap_or("state unknown");
        rows.push((
            "InfiniBand",
            format!("{} port {}  {rate}  {state}", port.device, port.port),
        ));
    }
    rows.push(("Fingerprint", fingerprint(inventory, privileged)));
    let warnings = inventory.warnings.iter().chain(&inventory.gpus.warnings);
    rows.extend(warnings.map(|warning| ("Warning", format!("{}: {}", warning.code, warning.message))));
    rows
}

fn fingerprint(inventory: &Inventory, privileged: bool) -> String {
    match &inventory.machine {
        Some(machine) => machine.clone(),
        None if !privileged => "none: reading serial numbers needs root".to_owned(),
        None => "none: the firmware tells too little".to_owned(),
    }
}
