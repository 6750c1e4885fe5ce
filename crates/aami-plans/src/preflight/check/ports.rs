//! Who holds the ports that are needed, and whether a firewall lets others reach them.

use aami_inventory::listener::Listener;
use aami_model::code;

use super::super::facts::Facts;
use super::super::fix::Fix;
use super::super::needs::{self, Port};
use super::super::report::{Category, Check};
use super::super::request::{Mode, Request};

/// Where DCGM's own exporter serves. One that is there already is used as it is.
const DCGM: u16 = 9400;

pub(super) fn checks(request: &Request, facts: &Facts) -> Vec<Check> {
    let ports = needs::ports(request, &facts.choice, facts.vendors());
    let mut checks: Vec<Check> = ports.iter().map(|port| one(request, facts, port)).collect();
    checks.extend(outgoing(facts, &ports));
    checks.push(firewall(request, facts));
    checks
}

fn one(request: &Request, facts: &Facts, needed: &Port) -> Check {
    let port = needed.port;
    let check = Check::new(Category::Ports, port.to_string(), format!("Port {port}"))
        .from("/proc/net/tcp, /proc/net/tcp6")
        .member("available", true);
    if let Some(why) = needed.skipped {
        return check.quiet().skipped(why);
    }
    let holders: Vec<&Listener> = facts
        .listeners
        .iter()
        .filter(|held| held.address.port() == port)
        .collect();
    let Some(stranger) = holders.iter().find(|holder| !is_ours(request, holder)) else {
        return match holders.first() {
            None => check.passed("available"),
            Some(ours) => check
                .member("available", false)
                .member("ours", true)
                .passed(format!("held by AAMI itself ({})", ours.holder())),
        };
    };
    held(facts, needed, stranger, check)
}

fn held(facts: &Facts, needed: &Port, stranger: &Listener, check: Check) -> Check {
    let (port, what) = (needed.port, needed.what);
    let process = stranger.process.as_deref().unwrap_or("a process of another user");
    let number = stranger
        .pid
        .map_or_else(String::new, |pid| format!(" (PID: {pid})"));
    let check = check
        .measured(stranger.holder())
        .member("available", false)
        .member("process", stranger.process.clone())
        .member("pid", stranger.pid)
        .member("address", stranger.address.to_string())
        .member("program", stranger.program.clone())
        .member("unit", stranger.unit.clone())
        .member("container", stranger.container.clone());
    if port == DCGM && process.starts_with("dcgm-exporter") {
        return check.passed(format!("held by '{process}'{number}, which is used as it is"));
    }
    let mut check = check.failed(
        code::PORT_IN_USE,
        format!("in use by '{process}'{number}"),
        format!("Port {port} is in use by {process}{number}"),
    );
    check.sentence = Some(format!(
        "Port {port} is already in use by process '{process}'{number}"
    ));
    let check = match (&stranger.unit, &stranger.container, stranger.pid) {
        (_, Some(container), _) => check.remedy("Stop the container", &["sudo", "docker", "stop", container]),
        (Some(unit), None, _) if unit.starts_with("docker.service") || unit.starts_with("containerd") => {
            let filter = format!("publish={port}");
            check.remedy(
                "See which container publishes it",
                &["sudo", "docker", "ps", "--filter", &filter],
            )
        }
        (Some(unit), None, _) => {
            let short = unit.strip_suffix(".service").unwrap_or(unit);
            check
                .remedy("Stop the service", &["sudo", "systemctl", "stop", short])
                .fixed_by(Fix::StopUnit(unit.clone()))
        }
        (None, None, Some(pid)) => check.remedy("Stop the process", &["sudo", "kill", &pid.to_string()]),
        (None, None, None) => check.remedy(
            "See whose it is",
            &["sudo", "ss", "-ltnp", "sport", "=", &port.to_string()],
        ),
    };
    if !facts.is_node() {
        check.advice(format!("Use another port for {what} with {}", needed.moved_by))
    } else if needed.moved_by == "--port" {
        check.advice("Use another port for node_exporter with --port")
    } else {
        check.advice(format!("Leave the {what} out with --skip-gpu"))
    }
}

/// Whether a listener is one of ours: it runs in a unit of ours, or out of our folder.
fn is_ours(request: &Request, listener: &Listener) -> bool {
    let in_unit = listener
        .unit
        .as_deref()
        .is_some_and(|unit| unit.starts_with("aami-"));
    let from_folder = listener.program.as_deref().is_some_and(|program| {
        // A program that was replaced while it runs is shown with " (deleted)" behind its name.
        std::path::Path::new(program.trim_end_matches(" (deleted)")).starts_with(&request.install_dir)
    });
    in_unit || from_folder
}

/// Ports the kernel may give away to outgoing connections at any moment.
fn outgoing(facts: &Facts, ports: &[Port]) -> Option<Check> {
    let (first, last) = facts.confinement.outgoing_ports?;
    let inside: Vec<String> = ports
        .iter()
        .filter(|port| port.skipped.is_none() && (first..=last).contains(&port.port))
        .map(|port| port.port.to_string())
        .collect();
    if inside.is_empty() {
        return None;
    }
    let list = inside.join(", ");
    Some(
        Check::new(Category::Ports, "outgoing", "Ports of outgoing connections")
            .measured(format!("{first}-{last}"))
            .from("/proc/sys/net/ipv4/ip_local_port_range")
            .warned(
                code::PORT_EPHEMERAL,
                format!("{first} to {last}, which includes {list}"),
                format!("Outgoing connections get ports from {first} to {last}, so {list} may be taken at any moment"),
            )
            .remedy(
                "Keep them free",
                &["sudo", "sysctl", "-w", &format!("net.ipv4.ip_local_reserved_ports={}", inside.join(","))],
            ),
    )
}

fn firewall(request: &Request, facts: &Facts) -> Check {
    let check = Check::new(Category::Ports, "firewall", "Firewall")
        .quiet()
        .from("firewall-cmd, ufw, nft, iptables");
    if request.skip_firewall {
        return check.skipped("not looked at");
    }
    let Some(found) = &facts.firewall else {
        return if facts.rights.root {
            check.passed("none at work")
        } else {
            check.skipped("looking at it needs root")
        };
    };
    let kind = found.kind;
    let check = check.measured(kind);
    let Some(first) = found.closed.first() else {
        return check.passed(format!("{kind}, with the ports open"));
    };
    let list: Vec<String> = found.closed.iter().map(ToString::to_string).collect();
    let list = list.join(", ");
    let check = check.warned(
        code::FIREWALL_CLOSED,
        format!("{kind} keeps {list} closed"),
        format!("{kind} is at work and has no rule that lets {list} in"),
    );
    opened(check, facts.choice.mode, kind, first, &found.closed)
}

/// What opens the ports.
fn opened(check: Check, mode: Mode, kind: &str, first: &u16, closed: &[u16]) -> Check {
    // Bootstrap opens a node's ports itself, for whoever scrapes and nobody else, and on its own receipt.
    if mode == Mode::Node && kind != "iptables" {
        return check.advice(
            "Nothing is to be done: bootstrap opens it for the server alone, or for the networks of --scrape-from",
        );
    }
    let port = format!("{first}/tcp");
    let check = match kind {
        // What is permanent alone is in force after the next reload.
        "firewalld" => {
            let add = format!("--add-port={port}");
            check
                .remedy("Open it", &["sudo", "firewall-cmd", &add])
                .remedy("Keep it open", &["sudo", "firewall-cmd", "--permanent", &add])
        }
        "ufw" => check.remedy("Open it", &["sudo", "ufw", "allow", &port]),
        "iptables" => check.remedy(
            "Open it",
            &[
                "sudo",
                "iptables",
                "-I",
                "INPUT",
                "-p",
                "tcp",
                "--dport",
                &first.to_string(),
                "-j",
                "ACCEPT",
            ],
        ),
        _ => check.advice(format!(
            "Add a rule 'tcp dport {first} accept' to the input chain"
        )),
    };
    match kind {
        "iptables" => check,
        _ => check.fixed_by(Fix::OpenPorts(closed.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_ports_are_never_opened_for_the_whole_world() {
        for kind in ["firewalld", "ufw", "nft"] {
            let of = |mode| {
                let check = Check::new(Category::Ports, "firewall", "Firewall");
                opened(check, mode, kind, &9100, &[9100])
            };
            assert_eq!(of(Mode::Node).fix, None, "{kind}");
            assert!(of(Mode::Server).fix.is_some(), "{kind}");
        }
    }
}
