//! The service manager: whether it runs, answers and is well, and how single units stand.

use serde::Serialize;

use crate::error::one_line;
use crate::host::Host;

/// How systemd stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Init {
    /// Whether it is the running init (`sd_booted(3)`).
    pub is_systemd: bool,
    /// The program with process number 1.
    pub program: Option<String>,
    /// What `systemctl is-system-running` says: `running`, `degraded`, `maintenance`, ...; `None` where
    /// it does not answer.
    pub state: Option<String>,
    /// Why it does not answer.
    pub silence: Option<String>,
    /// Units that failed.
    pub failed: Vec<String>,
}

/// Asks how systemd stands.
pub fn init(host: &Host<'_>) -> Init {
    let mut found = Init {
        is_systemd: host.exists("/run/systemd/system"),
        program: host.read("/proc/1/comm").map(|name| one_line(&name)),
        ..Init::default()
    };
    if !found.is_systemd {
        return found;
    }
    match host.commands.run("systemctl", &["is-system-running"]) {
        Ok(output) => {
            let state = one_line(&output.stdout);
            if state.is_empty() || state == "unknown" || state == "offline" {
                found.silence = Some(one_line(&output.stderr)).filter(|text| !text.is_empty());
                found.silence = found.silence.or_else(|| Some(format!("it says {state:?}")));
            } else {
                found.state = Some(state);
            }
        }
        Err(error) => found.silence = Some(error.to_string()),
    }
    if found.state.as_deref() == Some("degraded") {
        let list = host.commands.run(
            "systemctl",
            &["list-units", "--failed", "--no-legend", "--plain", "--no-pager"],
        );
        found.failed = list.map_or_else(|_| Vec::new(), |output| units(&output.stdout));
    }
    found
}

fn units(list: &str) -> Vec<String> {
    list.lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.contains('.')))
        .map(one_line)
        .collect()
}

/// One unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// `LoadState`: `loaded`, `not-found`, `masked`, ...
    pub load: String,
    /// `ActiveState`: `active`, `inactive`, `failed`, ...
    pub active: String,
    /// `FragmentPath`: its file.
    pub file: Option<String>,
}

/// How these units stand; empty where systemd does not answer.
pub fn stand(host: &Host<'_>, names: &[&str]) -> Vec<Unit> {
    if names.is_empty() || !host.exists("/run/systemd/system") {
        return Vec::new();
    }
    let mut arguments = vec![
        "show",
        "--no-pager",
        "--property=Id,LoadState,ActiveState,FragmentPath",
        "--",
    ];
    arguments.extend(names);
    let Ok(output) = host.commands.run("systemctl", &arguments) else {
        return Vec::new();
    };
    // One block a unit, in the order asked; `Id` may be another name where the unit is an alias.
    let blocks = output
        .stdout
        .split("\n\n")
        .filter(|block| !block.trim().is_empty());
    names
        .iter()
        .zip(blocks)
        .map(|(name, block)| unit(name, block))
        .collect()
}

fn unit(name: &str, block: &str) -> Unit {
    let value = |key: &str| {
        let line = block
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.map(one_line).unwrap_or_default()
    };
    Unit {
        name: name.to_owned(),
        load: value("LoadState"),
        active: value("ActiveState"),
        file: Some(value("FragmentPath")).filter(|path| !path.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_units_are_named_whatever_mark_stands_before_them() {
        let list = "● nginx.service loaded failed failed A web server\nx.mount loaded failed failed /x\n";
        assert_eq!(units(list), ["nginx.service", "x.mount"]);
    }

    #[test]
    fn a_unit_is_read_from_its_block() {
        let found = unit(
            "docker.service",
            "Id=docker.service\nLoadState=masked\nActiveState=inactive\nFragmentPath=\n",
        );
        assert_eq!(
            (found.load.as_str(), found.active.as_str(), found.file),
            ("masked", "inactive", None)
        );
    }
}
