//! Rights: root, Docker's socket, accounts, security modules, and another installer at work.

use aami_inventory::confine::Selinux;
use aami_model::code;

use super::super::facts::Facts;
use super::super::fix::Fix;
use super::super::report::{Category, Check};
use super::super::request::{Request, Runtime};

pub(super) fn checks(request: &Request, facts: &Facts) -> Vec<Check> {
    vec![
        sudo(request, facts),
        docker_socket(facts),
        accounts(facts),
        security_modules(facts),
        installer(request, facts),
    ]
}

fn check(key: &str, title: &str) -> Check {
    Check::new(Category::Permissions, key, title)
}

fn sudo(request: &Request, facts: &Facts) -> Check {
    let rights = &facts.rights;
    let check = check("sudo", "sudo").from("the effective user, and sudo -n -k true");
    if rights.root {
        return check.measured("root").passed("available");
    }
    let refuse = |check: Check, why: &str| {
        check
            .failed(code::NOT_ROOT, why, format!("Installing needs root, and {why}"))
            .advice("Run it again as root")
    };
    if request.installing {
        return refuse(check, "this is not root");
    }
    match (rights.has_sudo, rights.sudo_works, &rights.sudo_group) {
        (true, true, _) => check.measured("sudo").passed("available"),
        (true, false, Some(group)) => check
            .measured(group.as_str())
            .passed(format!("available with a password (group {group})")),
        (true, false, None) => refuse(check, "this user may not use sudo"),
        (false, ..) => refuse(check, "this user is not root and sudo is not installed"),
    }
}

fn docker_socket(facts: &Facts) -> Check {
    let check = check("docker_socket", "Docker socket").from("docker version");
    let Some(engine) = facts
        .engine
        .as_ref()
        .filter(|_| facts.choice.runtime == Runtime::Compose)
    else {
        return check.skipped("no containers are needed");
    };
    if engine.client.is_none() && engine.daemon.is_none() {
        return check.skipped("Docker is not installed");
    }
    let check = check.member("accessible", engine.daemon.is_some());
    if engine.denied {
        let check = check.failed(
            code::DOCKER_DENIED,
            "not accessible",
            "This user may not talk to the Docker daemon (/var/run/docker.sock)",
        );
        return match &facts.rights.user {
            Some(user) => join(check, user),
            None => check.advice("Run it again as root"),
        };
    }
    match (&engine.daemon, &facts.rights) {
        (None, _) => check.skipped("the daemon does not answer"),
        // Root may; whoever reached root through sudo may not without it.
        (Some(_), rights) if rights.root && rights.in_docker == Some(false) => match &rights.user {
            Some(user) => join(
                check.warned(
                    code::DOCKER_DENIED,
                    format!("not accessible to {user}"),
                    format!("{user} is not in the group docker, so root alone may talk to the Docker daemon"),
                ),
                user,
            ),
            None => check.passed("accessible"),
        },
        (Some(_), _) => check.passed("accessible"),
    }
}

/// Being in the group opens the socket.
fn join(check: Check, user: &str) -> Check {
    let (user, group) = (user.to_owned(), "docker".to_owned());
    check
        .remedy(
            "Add the user to the group docker",
            &["sudo", "usermod", "-aG", &group, &user],
        )
        .fixed_by(Fix::JoinGroup { user, group })
}

fn accounts(facts: &Facts) -> Check {
    let check = check("accounts", "Users and groups")
        .quiet()
        .from("/etc/passwd, /etc/group and their locks");
    let Some(obstacle) = facts.obstacles.first() else {
        return check.passed("can be changed");
    };
    let (path, what) = (&obstacle.path, &obstacle.what);
    let check = check.measured(path.as_str()).failed(
        code::ACCOUNTS_LOCKED,
        format!("{path}: {what}"),
        format!("Users and groups cannot be changed: {path}: {what}"),
    );
    match (obstacle.holder, path.ends_with(".lock")) {
        (Some(_), _) => check.advice("Wait for that process to end"),
        (None, true) => check
            .remedy("Remove it", &["sudo", "rm", "-f", path])
            .fixed_by(Fix::RemoveLock(path.clone())),
        (None, false) => check.remedy("Look at the copy of it", &["ls", "-l", &format!("{path}-")]),
    }
}

fn security_modules(facts: &Facts) -> Check {
    let check = check("security_modules", "Security modules").quiet().from(
        "/sys/fs/selinux/enforce, /sys/module/apparmor/parameters/enabled, /sys/kernel/security/apparmor/profiles",
    );
    let (apparmor, confined) = match &facts.confinement.apparmor {
        None => ("AppArmor off", &[][..]),
        Some(enforced) => ("AppArmor on", enforced.as_slice()),
    };
    let ours: Vec<&str> = confined
        .iter()
        .filter(|name| is_of_ours(name))
        .map(String::as_str)
        .collect();
    let check = match facts.confinement.selinux {
        Selinux::Enforcing => {
            return check
                .measured("enforcing")
                .warned(
                    code::SELINUX_ENFORCING,
                    format!("SELinux enforcing, {apparmor}"),
                    "SELinux is enforcing: a policy of the site may keep a service from starting",
                )
                .remedy(
                    "Look for denials afterwards",
                    &["sudo", "ausearch", "-m", "avc", "-ts", "recent"],
                );
        }
        Selinux::Permissive => check.measured("permissive"),
        Selinux::Disabled => check.measured("disabled"),
    };
    if let Some(profile) = ours.first() {
        return check
            .measured(ours.join(", "))
            .warned(
                code::APPARMOR_ENFORCING,
                format!("AppArmor confines {profile}"),
                format!("AppArmor enforces the profile {profile}: it may keep what AAMI runs from its files"),
            )
            .remedy(
                "Look for denials afterwards",
                &["sudo", "journalctl", "-k", "-g", "apparmor=\"DENIED\""],
            );
    }
    let selinux = match facts.confinement.selinux {
        Selinux::Permissive => "SELinux permissive",
        _ => "SELinux off",
    };
    check.passed(format!("{selinux}, {apparmor}"))
}

/// Whether a profile of AppArmor confines a program that AAMI runs: profiles are named by the program's path, or as the
/// site likes.
fn is_of_ours(profile: &str) -> bool {
    const PROGRAMS: [&str; 9] = [
        "aami",
        "aami-agent",
        "alertmanager",
        "all-smi",
        "dcgm-exporter",
        "grafana",
        "grafana-server",
        "node_exporter",
        "prometheus",
    ];
    let name = profile.rsplit('/').next().unwrap_or(profile);
    profile.starts_with("/opt/aami/") || PROGRAMS.contains(&name)
}

fn installer(request: &Request, facts: &Facts) -> Check {
    let check = check("installer", "Another installer")
        .quiet()
        .from("/run/aami/install.lock");
    if request.installing {
        return check.passed("this one");
    }
    let Some(holder) = &facts.installer else {
        return check.passed("none at work");
    };
    check
        .measured(holder.pid)
        .failed(
            code::LOCKED,
            format!("process {} is at work", holder.pid),
            format!(
                "Another installer is at work on this host: process {}, plan {}, since {}",
                holder.pid, holder.plan, holder.started_at
            ),
        )
        .advice("Wait for it to end")
}
