//! What the machine is known by: its name, its machine-id, its time.

use aami_model::code;
use aami_model::machine::is_machine_id;

use super::super::facts::Facts;
use super::super::fix::Fix;
use super::super::needs;
use super::super::report::{Category, Check};

pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    vec![hostname(facts), machine_id(facts), clock(facts)]
}

fn check(key: &str, title: &str) -> Check {
    Check::new(Category::System, key, title).quiet()
}

fn hostname(facts: &Facts) -> Check {
    let name = &facts.name.text;
    let check = check("hostname", "Host name")
        .measured(name.as_str())
        .from("/proc/sys/kernel/hostname");
    let rename = ["sudo", "hostnamectl", "set-hostname", "NAME"];
    if let Some(problem) = &facts.name.problem {
        let mut sentence = problem.clone();
        if let Some(first) = sentence.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        return check
            .failed(
                code::HOSTNAME_INVALID,
                format!("{name:?} cannot be used"),
                sentence,
            )
            .remedy("Set one", &rename);
    }
    if facts.name.is_generic() {
        let message =
            format!("The host name is {name}, which many machines carry, and a node is known by its name");
        let (code, summary) = (code::HOSTNAME_GENERIC, format!("{name} (many machines carry it)"));
        let check = if facts.is_node() {
            check.failed(code, summary, message)
        } else {
            check.warned(code, summary, message)
        };
        return check.remedy("Set one of its own", &rename);
    }
    if facts.name.is_known == Some(false) {
        return check
            .from(format!("getent hosts {name}"))
            .warned(
                code::HOSTNAME_UNRESOLVABLE,
                format!("{name} (cannot be looked up)"),
                format!("This machine cannot look up its own name {name}"),
            )
            .advice(format!("Add the line '127.0.1.1 {name}' to /etc/hosts"));
    }
    check.passed(name.as_str())
}

/// An id of 32 equal digits, or the one of the manual page's example, is nobody's own.
fn is_copied(id: &str) -> bool {
    let first = id.chars().next();
    id.chars().all(|c| Some(c) == first) || id == "0123456789abcdef0123456789abcdef"
}

fn machine_id(facts: &Facts) -> Check {
    let check = check("machine_id", "Machine id").from("/etc/machine-id");
    let found = facts.machine_id.as_deref().unwrap_or("");
    if !is_machine_id(found) {
        let shown: String = match found {
            "" => "empty or missing".to_owned(),
            text => text.chars().filter(|c| !c.is_control()).take(40).collect(),
        };
        return check
            .measured(shown.as_str())
            .failed(
                code::MACHINE_ID_INVALID,
                shown.as_str(),
                format!("/etc/machine-id is {shown}, and has to be 32 hexadecimal digits"),
            )
            .remedy("Make one", &["sudo", "systemd-machine-id-setup"]);
    }
    let check = check.measured(found);
    let renew = "Make a new one: 'sudo rm -f /etc/machine-id /var/lib/dbus/machine-id', then 'sudo systemd-machine-id-setup'";
    if is_copied(found) {
        return check
            .failed(
                code::DUPLICATE_MACHINE_ID,
                "one that images carry",
                format!("The machine-id {found} was made for an image and not for this machine"),
            )
            .advice(renew);
    }
    match &facts.dbus_id {
        Some(other) if other != found => check
            .from("/etc/machine-id, /var/lib/dbus/machine-id")
            .warned(
                code::DUPLICATE_MACHINE_ID,
                "two that differ",
                "/etc/machine-id and /var/lib/dbus/machine-id differ: this disk was copied from another machine's",
            )
            .advice(renew),
        _ => check.passed(found),
    }
}

fn clock(facts: &Facts) -> Check {
    let check = check("time_sync", "Time service").from("systemctl show of the known time services");
    if let Some(kind) = &facts.system.container {
        return check.skipped(format!("the clock of {kind} is its host's"));
    }
    let keeper = &facts.clock;
    if let Some(unit) = &keeper.unit {
        return check.measured(unit.as_str()).passed(unit.as_str());
    }
    let check = check.warned(
        code::CLOCK_UNSYNCED,
        "none at work",
        "Nothing keeps this machine's clock right: no known time service is at work",
    );
    match (
        keeper.idle.first(),
        needs::package("time", facts.distribution.family),
    ) {
        (Some(unit), _) => check
            .remedy("Start it", &["sudo", "systemctl", "enable", "--now", unit])
            .fixed_by(Fix::StartUnit(unit.clone())),
        (None, Some(package)) => {
            let argv = needs::install_command(package, facts.distribution.family).unwrap_or_default();
            check
                .remedy("Install one", &argv)
                .fixed_by(Fix::Package(package.to_owned()))
        }
        (None, None) => check.advice("Install and start chrony"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_nobody_made_is_known() {
        assert!(is_copied("11111111111111111111111111111111"));
        assert!(!is_copied("4c4c4544004235108052b4c04f4a3333"));
    }
}
