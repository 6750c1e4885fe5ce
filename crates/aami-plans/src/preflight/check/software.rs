//! Programs, the container engine, the package manager, and monitoring that is already there.

use aami_inventory::docker::{Engine, is_at_least};
use aami_inventory::foreign::{Foreign, Installed};
use aami_model::code;

use super::super::facts::Facts;
use super::super::fix::Fix;
use super::super::needs::{self, Program};
use super::super::report::{Category, Check};
use super::super::request::Runtime;

const OLDEST_DOCKER: &str = "20.10";
const OLDEST_COMPOSE: &str = "2.0";

pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![docker(facts), compose(facts)];
    checks.extend(
        needs::programs(&facts.choice)
            .iter()
            .map(|needed| program(facts, needed)),
    );
    for name in ["jq", "promtool"] {
        let check = check(name, name).quiet();
        let found = facts.programs.get(name).cloned().flatten();
        checks.push(match found {
            Some(path) => check.measured(path.as_str()).passed(path),
            None => check.skipped("not installed, and not needed"),
        });
    }
    checks.push(locks(facts));
    checks.push(records(facts));
    checks.extend(units(facts));
    checks.extend(facts.foreign.iter().map(foreign));
    checks
}

fn check(key: impl Into<String>, title: impl Into<String>) -> Check {
    Check::new(Category::Software, key, title)
}

fn program(facts: &Facts, needed: &Program) -> Check {
    let name = needed.name;
    let check = check(name, name).from("/usr/sbin, /usr/bin, /sbin, /bin, /usr/local");
    let check = if name == "curl" || name == "systemctl" {
        check
    } else {
        check.quiet()
    };
    if let Some(path) = facts.programs.get(name).cloned().flatten() {
        let shown = match (name, &facts.curl, facts.system.systemd) {
            ("curl", Some(version), _) => version.clone(),
            ("systemctl", _, Some(version)) => version.to_string(),
            _ => path,
        };
        return check.measured(shown.as_str()).passed(shown);
    }
    let message = format!("The program {name}, needed for {}, is not installed", needed.what);
    let wget = name == "curl" && facts.programs.get("wget").is_some_and(Option::is_some);
    let check = if needed.required {
        check.failed(code::TOOL_MISSING, "not installed", message)
    } else if wget {
        return check.passed("not installed; wget is there");
    } else {
        check.warned(code::TOOL_MISSING, "not installed", message)
    };
    let family = facts.distribution.family;
    match needs::package(name, family) {
        Some(package) => {
            let argv = needs::install_command(package, family).unwrap_or_default();
            let check = check.fixed_by(Fix::Package(package.to_owned()));
            if argv.is_empty() {
                check.advice(format!("Install the package {package}"))
            } else {
                check.remedy("Install it", &argv)
            }
        }
        None => check.advice("Install the package that carries it"),
    }
}

fn docker(facts: &Facts) -> Check {
    let check = check("docker", "Docker")
        .limit(OLDEST_DOCKER)
        .from("docker version");
    let Some(engine) = wanted(facts) else {
        return check.skipped(not_needed(facts));
    };
    let Some(version) = engine.daemon.as_ref().or(engine.client.as_ref()) else {
        if engine.is_podman {
            return check
                .failed(
                    code::DOCKER_MISSING,
                    "Podman",
                    "What is called docker here is Podman, which does not run compose projects as Docker does",
                )
                .advice("Install Docker in place of the package podman-docker")
                .advice("Use --runtime systemd, which needs no containers");
        }
        let check = check.failed(code::DOCKER_MISSING, "not installed", "Docker is not installed");
        let family = facts.distribution.family;
        let check = match needs::package("docker", family) {
            Some(package) => check
                .remedy(
                    "Install it",
                    &needs::install_command(package, family).unwrap_or_default(),
                )
                .fixed_by(Fix::Package(package.to_owned())),
            None => check.advice("Install Docker as https://docs.docker.com/engine/install says"),
        };
        return check.advice("Use --runtime systemd, which needs no containers");
    };
    let check = check.measured(version.as_str());
    if !is_at_least(version, OLDEST_DOCKER) {
        return check
            .failed(
                code::DOCKER_TOO_OLD,
                format!("{version} (minimum: {OLDEST_DOCKER})"),
                format!("Docker is {version}, and the minimum is {OLDEST_DOCKER}"),
            )
            .advice("Upgrade Docker")
            .advice("Use --runtime systemd, which needs no containers");
    }
    if engine.daemon.is_none() && !engine.denied {
        let why = engine.silence.as_deref().unwrap_or("no answer");
        return check
            .failed(
                code::DOCKER_NOT_RUNNING,
                format!("{version}, the daemon does not answer"),
                format!("The Docker daemon does not answer: {why}"),
            )
            .remedy("Start it", &["sudo", "systemctl", "enable", "--now", "docker"])
            .fixed_by(Fix::StartUnit("docker.service".to_owned()));
    }
    if facts.engine_has_proxy == Some(false) {
        return check
            .from("systemctl show docker.service, /etc/docker/daemon.json")
            .warned(
                code::PROXY_NOT_FOR_SERVICES,
                format!("{version}, without the proxy of this environment"),
                "Images are fetched by the Docker daemon, which does not know the proxy of this environment",
            )
            .advice("Tell it the proxy in /etc/systemd/system/docker.service.d/")
            .fixed_by(Fix::ProxyForService("docker.service".to_owned()));
    }
    check.passed(format!("{version} (minimum: {OLDEST_DOCKER})"))
}

fn compose(facts: &Facts) -> Check {
    let check = check("docker_compose", "Docker Compose")
        .limit(OLDEST_COMPOSE)
        .from("docker compose version");
    let Some(engine) = wanted(facts) else {
        return check.skipped(not_needed(facts));
    };
    let install = "Install the package docker-compose-plugin (docker-compose-v2 on Ubuntu)";
    match &engine.compose {
        None => check
            .failed(
                code::COMPOSE_MISSING,
                "not installed",
                "Docker Compose is not installed",
            )
            .advice(install),
        Some(version) if !is_at_least(version, OLDEST_COMPOSE) => check
            .measured(version.as_str())
            .failed(
                code::COMPOSE_TOO_OLD,
                format!("v{version} (minimum: v{OLDEST_COMPOSE})"),
                format!("Docker Compose is {version}, and the minimum is {OLDEST_COMPOSE}"),
            )
            .advice(install),
        Some(version) => check
            .measured(version.as_str())
            .passed(format!("v{version} (minimum: v{OLDEST_COMPOSE})")),
    }
}

fn wanted(facts: &Facts) -> Option<&Engine> {
    facts
        .engine
        .as_ref()
        .filter(|_| facts.choice.runtime == Runtime::Compose)
}

fn not_needed(facts: &Facts) -> &'static str {
    if facts.is_node() {
        "a node needs no containers"
    } else {
        "the systemd runtime needs no containers"
    }
}

fn locks(facts: &Facts) -> Check {
    let check = check("package_lock", "Package manager")
        .quiet()
        .from("locks below /var/lib, /var/cache and /run");
    let held = facts.packages.locks.iter().find(|lock| lock.pid.is_some());
    if let Some(lock) = held {
        let pid = lock.pid.filter(|pid| *pid > 0);
        let process = lock.process.as_deref().unwrap_or("a process");
        let number = pid.map_or_else(String::new, |pid| format!(" (PID: {pid})"));
        return check
            .measured(lock.path.as_str())
            .member("process", process)
            .member("pid", pid)
            .failed(
                code::PACKAGES_LOCKED,
                format!("locked by '{process}'{number}"),
                format!("{process}{number} is installing packages: it holds {}", lock.path),
            )
            .advice("Wait for it to end");
    }
    match facts.packages.locks.first() {
        Some(stale) => check
            .measured(stale.path.as_str())
            .failed(
                code::PACKAGE_LOCK_STALE,
                format!("{} was left behind", stale.path),
                format!("{} names a process that is gone", stale.path),
            )
            .remedy("Remove it", &["sudo", "rm", "-f", &stale.path])
            .fixed_by(Fix::RemoveLock(stale.path.clone())),
        None => check.passed("free"),
    }
}

fn records(facts: &Facts) -> Check {
    let check = check("package_state", "Package state")
        .quiet()
        .from("/var/lib/dpkg/status, /var/lib/dpkg/updates");
    let broken = &facts.packages.broken;
    if broken.is_empty() {
        return check.passed("whole");
    }
    let shown: Vec<&str> = broken.iter().take(5).map(String::as_str).collect();
    let list = shown.join(", ");
    check
        .measured(list.as_str())
        .failed(
            code::PACKAGES_BROKEN,
            format!("half done: {list}"),
            format!("An earlier package installation was interrupted: {list}"),
        )
        .remedy("Finish it", &["sudo", "dpkg", "--configure", "-a"])
}

fn units(facts: &Facts) -> Vec<Check> {
    let masked = facts.units.iter().filter(|unit| unit.load == "masked");
    masked
        .map(|unit| {
            let name = &unit.name;
            check(name.as_str(), name.as_str())
                .measured("masked")
                .from(format!("systemctl show {name}"))
                .failed(
                    code::UNIT_BLOCKED,
                    "masked",
                    format!("The unit {name} is masked, so it cannot be started"),
                )
                .remedy("Unmask it", &["sudo", "systemctl", "unmask", name])
        })
        .collect()
}

/// Told, never touched. Where it holds a port that is needed, the port's own check fails.
fn foreign(found: &Foreign) -> Check {
    let what = found.what;
    let (how, argv) = match &found.installed {
        Installed::Package(name) => (format!("the package {name}"), Vec::new()),
        Installed::Unit(name) => (
            format!("the unit {name}"),
            vec!["systemctl", "status", name.as_str()],
        ),
        Installed::Container(id) => (
            format!("the container {id}"),
            vec!["docker", "ps", "--filter", "id"],
        ),
        Installed::Process(pid) => (format!("process {pid}"), Vec::new()),
    };
    let check = check(format!("foreign_{what}"), format!("Existing {what}"))
        .measured(how.as_str())
        .from("the package manager's records, units and processes")
        .warned(
            code::FOREIGN_INSTALL,
            format!("{how}; AAMI leaves it alone"),
            format!("A {what} that AAMI did not install is here ({how}); AAMI installs beside it and never changes it"),
        );
    match argv.as_slice() {
        [] => check,
        ["docker", ..] => {
            let id = how.trim_start_matches("the container ");
            check.remedy(
                "Look at it",
                &["sudo", "docker", "ps", "--filter", &format!("id={id}")],
            )
        }
        argv => check.remedy("Look at it", argv),
    }
}
