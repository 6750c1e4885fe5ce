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
            Some(user) => check
                .remedy(
                    "Add the user to the group docker",
                    &["sudo", "usermod", "-aG", "docker", user],
                )
                .fixed_by(Fix::JoinGroup {
                    user: user.clone(),
                    group: "docker".to_owned(),
                }),
            None => check.advice("Run it again as root"),
        };
    }
    match &engine.daemon {
        Some(_) => check.passed("accessible"),
        None => check.skipped("the daemon does not answer"),
    }
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
    let check = check("security_modules", "Security modules")
        .quiet()
        .from("/sys/fs/selinux/enforce, /sys/module/apparmor/parameters/enabled");
    let apparmor = if facts.confinement.apparmor {
        "AppArmor on"
    } else {
        "AppArmor off"
    };
    match facts.confinement.selinux {
        Selinux::Enforcing => check
            .measured("enforcing")
            .warned(
                code::SELINUX_ENFORCING,
                format!("SELinux enforcing, {apparmor}"),
                "SELinux is enforcing: a policy of the site may keep a service from starting",
            )
            .remedy(
                "Look for denials afterwards",
                &["sudo", "ausearch", "-m", "avc", "-ts", "recent"],
            ),
        Selinux::Permissive => check
            .measured("permissive")
            .passed(format!("SELinux permissive, {apparmor}")),
        Selinux::Disabled => check
            .measured("disabled")
            .passed(format!("SELinux off, {apparmor}")),
    }
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
