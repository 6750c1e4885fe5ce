//! What the kernel holds back: limits, control groups, namespaces, the umask, swap.

use aami_model::code;

use super::super::facts::Facts;
use super::super::report::{Category, Check};

pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    vec![
        cgroups(facts),
        controllers(facts),
        open_files(facts),
        mount_namespaces(facts),
        container(facts),
        swap(facts),
        umask(facts),
    ]
}

fn check(key: &str, title: &str) -> Check {
    Check::new(Category::System, key, title).quiet()
}

fn cgroups(facts: &Facts) -> Check {
    let check = check("cgroups", "Control groups").from("/proc/self/mountinfo");
    match facts.confinement.cgroups {
        Some(layout) => check.measured(layout).passed(layout),
        None => check
            .failed(
                code::CGROUPS_MISSING,
                "not mounted",
                "No control groups are mounted, so no service can be started",
            )
            .remedy(
                "Mount them",
                &["sudo", "mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"],
            ),
    }
}

/// What limits the memory and the processes of our units; without it they run unlimited.
fn controllers(facts: &Facts) -> Check {
    let check = check("cgroup_controllers", "Controllers of control groups")
        .from("/proc/cgroups, /sys/fs/cgroup/cgroup.controllers");
    let Some(first) = facts.confinement.idle_controllers.first() else {
        return check.passed("at work");
    };
    let list = facts.confinement.idle_controllers.join(", ");
    check
        .measured(list.as_str())
        .warned(
            code::CONTROLLERS_OFF,
            format!("{list} off"),
            format!("The kernel has these controllers of control groups switched off: {list}; services run without the limits that are set by them"),
        )
        .advice(format!(
            "Boot with 'cgroup_enable={first}' and without 'cgroup_disable={first}' on the kernel's command line"
        ))
}

fn open_files(facts: &Facts) -> Check {
    let minimum = facts.choice.minima().open_files;
    let check = check("open_files", "Open files")
        .limit(minimum)
        .from("/proc/1/limits");
    match facts.confinement.open_files {
        Some(limit) if limit < minimum => check
            .measured(limit)
            .failed(
                code::LIMIT_TOO_LOW,
                format!("{limit} (minimum: {minimum})"),
                format!("A service may open {limit} files, and {minimum} are needed"),
            )
            .advice(format!(
                "Set DefaultLimitNOFILE={} in /etc/systemd/system.conf and reboot",
                minimum.max(65_536)
            )),
        Some(limit) => check
            .measured(limit)
            .passed(format!("{limit} (minimum: {minimum})")),
        None => check.skipped("/proc/1/limits cannot be read without root"),
    }
}

fn mount_namespaces(facts: &Facts) -> Check {
    let check = check("mount_namespaces", "Mount namespaces").from("/proc/sys/user/max_mnt_namespaces");
    if facts.confinement.mount_namespaces {
        return check.passed("allowed");
    }
    check
        .measured(0)
        .failed(
            code::NAMESPACES_DISABLED,
            "switched off",
            "The kernel makes no mount namespaces (user.max_mnt_namespaces is 0), so hardened services cannot be started",
        )
        .remedy("Allow them", &["sudo", "sysctl", "-w", "user.max_mnt_namespaces=65536"])
}

fn container(facts: &Facts) -> Check {
    let check = check("container", "Container").from("/run/systemd/container, /proc/self/uid_map");
    let kind = facts.system.container.as_deref();
    if facts.confinement.user_namespace {
        let inside = kind.map_or_else(
            || "a user namespace".to_owned(),
            |kind| format!("{kind} with a user namespace"),
        );
        return check
            .measured(inside.as_str())
            .warned(
                code::USER_NAMESPACE,
                inside.as_str(),
                format!("Root here is an ordinary user outside: this runs in {inside}"),
            )
            .advice("Install on the host itself");
    }
    match kind {
        Some(kind) => check
            .measured(kind)
            .passed(format!("{kind}; hardware is its host's")),
        None => check.passed("none"),
    }
}

/// Neither is wrong by itself; somebody who looks for it finds it here.
fn swap(facts: &Facts) -> Check {
    let check = check("swap", "Swap").from("/proc/meminfo");
    match facts.confinement.swap_bytes {
        Some(0) | None => check.measured(0).passed("none"),
        Some(bytes) => check.measured(bytes).passed(format!("{} MiB", bytes >> 20)),
    }
}

fn umask(facts: &Facts) -> Check {
    let check = check("umask", "umask").limit("022").from("/proc/self/status");
    let Some(umask) = facts.confinement.umask else {
        return check.skipped("this kernel does not say");
    };
    let shown = format!("{umask:03o}");
    let check = check.measured(shown.as_str());
    let hint = "Set the usual one, 'umask 022', and run this again";
    if umask & 0o700 != 0 {
        let message = format!("The umask {shown} takes rights away from the owner of every new file");
        return check.failed(code::UMASK_UNUSABLE, shown, message).advice(hint);
    }
    if umask & 0o022 == 0 {
        let message = format!("The umask {shown} lets everybody write what package managers and others make");
        return check.warned(code::UMASK_UNUSABLE, shown, message).advice(hint);
    }
    check.passed(shown)
}
