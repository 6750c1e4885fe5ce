//! What helps to find a fault, as one text: states and logs, each part bounded, secrets taken out.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use aami_inventory::Host;

use super::super::state::{Shared, boot_id};
use super::super::watch::results;
use super::{Node, conceal, unit, work};
use aami_plans::node::check::Places;

/// One part is not longer.
const LONGEST_PART: usize = 48 * 1024;
/// How long one tool may take.
const TOOL: Duration = Duration::from_secs(10);
/// What is asked, in this order. None of them changes anything or shows a file of the site's. The log is not asked for
/// this boot's lines alone: where the machine is a container, the unit sees the id of another boot than its journal has
/// (`ProtectKernelTunables=` in a container that has a boot id of its own).
const TOOLS: [(&str, &[&str]); 8] = [
    ("systemctl", &["--no-pager", "--failed"]),
    ("systemctl", &["--no-pager", "list-units", "--all", "aami-*"]),
    ("journalctl", &["--no-pager", "-n", "200", "-u", "aami-*"]),
    ("nvidia-smi", &[]),
    ("rocm-smi", &[]),
    ("df", &["-h"]),
    ("ip", &["-br", "address"]),
    ("journalctl", &["--no-pager", "-b", "-k", "-n", "200"]),
];

/// The whole, with what could be had until `deadline`.
pub(super) fn bundle(shared: &Shared, node: &Node, deadline: Instant) -> String {
    let mut text = String::new();
    let mut part = |title: &str, body: String| {
        let body = work::last_of(conceal::concealed(&body), LONGEST_PART);
        let _ = write!(text, "=== {title}\n{}\n\n", body.trim_end());
    };
    part("agent", agent(shared, node));
    let checks = results(&Places::below(&node.root).folder);
    let lines = checks.values().map(|told| {
        format!(
            "{:<9} {} ({}): {}\n",
            told.status, told.name, told.at, told.message
        )
    });
    part("checks", lines.collect());
    let commands = aami_inventory::SystemCommands::default();
    let host = Host::this(&commands);
    for file in [
        "/etc/os-release",
        "/proc/version",
        "/proc/loadavg",
        "/proc/meminfo",
    ] {
        part(file, host.read_up_to(file, 16 * 1024).unwrap_or_default());
    }
    for (program, arguments) in TOOLS {
        if Instant::now() >= deadline {
            part("not asked", format!("{program}: there was no time left"));
            continue;
        }
        let limit = deadline.min(Instant::now() + TOOL);
        let body = match unit::tool(program, arguments, limit) {
            Ok(output) => output.stdout + &output.stderr,
            Err(error) => error.to_string(),
        };
        part(&format!("{program} {}", arguments.join(" ")), body);
    }
    text
}

fn agent(shared: &Shared, node: &Node) -> String {
    let vitals = &shared.vitals;
    let spool = shared.spool();
    let (reports, bytes) = (spool.len(), spool.bytes());
    drop(spool);
    format!(
        "version {}\nnode {} of {}\nboot {}\ntime {}\nup {} s\nconnections {}\nspool {reports} reports, {bytes} bytes, \
         {} refused by the disk\nkernel records lost {}\nGPUs expected {}, usable {}",
        aami_model::version::own(),
        node.hostname,
        node.server,
        boot_id(),
        shared.wall(),
        shared.now().as_secs(),
        vitals.connections.load(Ordering::Relaxed),
        vitals.spool_failures.load(Ordering::Relaxed),
        vitals.records_lost.load(Ordering::Relaxed),
        shared
            .gpus_expected
            .map_or_else(|| "none".to_owned(), |n| n.to_string()),
        vitals.gpus_visible.load(Ordering::Relaxed),
    )
}
