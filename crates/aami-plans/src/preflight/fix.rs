//! Mending what can be mended: an ordinary plan, `preflight-fix`, with its own receipt, so that it is shown
//! before and can be taken back like any other.
//!
//! [`wanted`] says what a report could have mended, [`plan`] makes the plan of what the operator agreed to.
//! A plan has one step for each kind of thing, in the order that works: locks first, then folders, for a package manager
//! needs a `/tmp`, then packages, and services last.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;

use aami_install::effect::{FirewallRule, GroupMembership, Irreversible, PackageSet, Placement, UnitState};
use aami_install::{
    Content, Effect, HostPath, NotAHostPath, Owner, Plan, PlanError, Step, StepError, Survey,
};
use aami_model::code;

use super::report::{Check, Report};
use super::request::Request;
use crate::download::Proxies;

/// The plan's name: its folder below the tracking of the host, and the name in its events.
pub const NAME: &str = "preflight-fix";
/// The approval for removing locks that were left behind, which cannot be taken back.
pub const APPROVAL: &str = "preflight-fix";

/// Something that can be mended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fix {
    /// Remove a lock whose process is gone.
    RemoveLock(String),
    /// Install a package.
    Package(String),
    /// Make a folder, or give it the mode it must have.
    Folder(String),
    /// Add a user to a group.
    JoinGroup {
        /// The user.
        user: String,
        /// The group.
        group: String,
    },
    /// Tell a service the proxy of the environment.
    ProxyForService(String),
    /// Start a unit, now and at every boot.
    StartUnit(String),
    /// Stop a unit, now and at every boot.
    StopUnit(String),
    /// Open ports in the firewall.
    OpenPorts(Vec<u16>),
}

impl Fix {
    /// Whether it takes something from somebody, or makes somebody root in all but name, so that it is asked for by
    /// itself.
    pub const fn is_bold(&self) -> bool {
        matches!(
            self,
            Self::StopUnit(_) | Self::ProxyForService(_) | Self::JoinGroup { .. }
        )
    }

    /// What it does, as a question asks it.
    pub fn describe(&self) -> String {
        match self {
            Self::RemoveLock(path) => format!("remove {path}, which was left behind"),
            Self::Package(name) => format!("install the package {name}"),
            Self::Folder(path) => format!("make the folder {path}"),
            Self::JoinGroup { user, group } => format!("add {user} to the group {group}"),
            Self::ProxyForService(unit) => {
                format!("tell {unit} the proxy of this environment, and restart it")
            }
            Self::StartUnit(unit) => format!("start {unit}, now and at every boot"),
            Self::StopUnit(unit) => format!("stop {unit}, now and at every boot"),
            Self::OpenPorts(ports) => {
                let list: Vec<String> = ports.iter().map(ToString::to_string).collect();
                format!("open {} in the firewall", list.join(", "))
            }
        }
    }

    const fn step(&self) -> &'static str {
        match self {
            Self::RemoveLock(_) => "locks",
            Self::Package(_) => "packages",
            Self::Folder(_) => "folders",
            Self::JoinGroup { .. } => "groups",
            Self::ProxyForService(_) => "proxy",
            Self::StartUnit(_) => "start",
            Self::StopUnit(_) => "stop",
            Self::OpenPorts(_) => "ports",
        }
    }
}

/// The steps in their order, with their titles.
const STEPS: [(&str, &str); 8] = [
    ("locks", "Removing locks left behind"),
    ("folders", "Making folders"),
    ("packages", "Installing packages"),
    ("groups", "Adding users to groups"),
    ("proxy", "Telling services the proxy"),
    ("stop", "Stopping services"),
    ("start", "Starting services"),
    ("ports", "Opening ports"),
];

/// What a report could have mended, each thing once, with the check that asks for it.
pub fn wanted(report: &Report) -> Vec<(Fix, &Check)> {
    let mut found: BTreeMap<Fix, &Check> = BTreeMap::new();
    for check in report.checks.iter().filter(|check| check.is_issue()) {
        if let Some(fix) = &check.fix {
            found.entry(fix.clone()).or_insert(check);
        }
    }
    found.into_iter().collect()
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum FixError {
    /// The steps make no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A path that cannot be changed.
    #[error(transparent)]
    Path(#[from] NotAHostPath),
}

impl FixError {
    /// The registry's entry for it.
    pub const fn code(&self) -> aami_model::Code {
        code::INVALID
    }
}

/// The plan that mends these.
pub fn plan(fixes: &[Fix], request: &Request) -> Result<Plan, FixError> {
    let mut steps: Vec<Box<dyn Step>> = Vec::new();
    let mut present: Vec<&str> = Vec::new();
    for (id, title) in STEPS {
        let own: Vec<&Fix> = fixes.iter().filter(|fix| fix.step() == id).collect();
        if own.is_empty() {
            continue;
        }
        let mut effects = Vec::new();
        for fix in own {
            effects.extend(self::effects(fix, &request.proxies)?);
        }
        // A service may be in a package that is installed just before, or wait for another's port.
        let needs = present
            .iter()
            .filter(|before| {
                matches!(id, "packages" | "start" | "proxy" | "groups")
                    && matches!(**before, "locks" | "folders" | "packages" | "stop")
            })
            .map(|before| (*before).to_owned())
            .collect();
        steps.push(Box::new(Mend {
            id,
            title,
            needs,
            effects,
        }));
        present.push(id);
    }
    Ok(Plan::new(NAME, "AAMI Preflight Fix", steps)?)
}

fn effects(fix: &Fix, proxies: &Proxies) -> Result<Vec<Effect>, NotAHostPath> {
    Ok(match fix {
        Fix::RemoveLock(path) => vec![remove_lock(path)],
        Fix::Package(name) => vec![Effect::PackageSet(PackageSet::new(
            name.as_str(),
            [name.as_str()],
        ))],
        Fix::Folder(path) => {
            let mode = if path == "/tmp" { 0o1777 } else { 0o755 };
            vec![Effect::directory(HostPath::new(path)?, mode, Some(Owner::root()))]
        }
        Fix::JoinGroup { user, group } => vec![Effect::GroupMembership(GroupMembership {
            user: user.clone(),
            group: group.clone(),
        })],
        Fix::ProxyForService(unit) => proxy_for(unit, proxies)?,
        Fix::StartUnit(unit) => vec![Effect::UnitState(UnitState::up(unit.as_str(), []))],
        Fix::StopUnit(unit) => vec![Effect::UnitState(UnitState {
            unit: unit.clone(),
            enabled: false,
            running: false,
            inputs: Vec::new(),
            anew: false,
        })],
        Fix::OpenPorts(ports) => ports
            .iter()
            .map(|port| Effect::FirewallRule(FirewallRule::tcp(*port)))
            .collect(),
    })
}

/// A drop-in that names a file beside it: a proxy may hold a password, and units are for everybody to read.
fn proxy_for(unit: &str, proxies: &Proxies) -> Result<Vec<Effect>, NotAHostPath> {
    let folder = HostPath::new(format!("/etc/systemd/system/{unit}.d"))?;
    let (settings, drop_in) = (folder.join("aami-proxy.env")?, folder.join("aami-proxy.conf")?);
    let mut text = String::new();
    let mut set = |name: &str, value: &str| {
        // systemd.exec(5), EnvironmentFile=: double quotes, with \ before " and \.
        let value: String = value
            .chars()
            .filter(|c| !c.is_control())
            .flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c]))
            .collect();
        text.push_str(&format!("{name}=\"{value}\"\n"));
    };
    for (name, value) in [("HTTP_PROXY", &proxies.http), ("HTTPS_PROXY", &proxies.https)] {
        if let Some(value) = value {
            set(name, value);
        }
    }
    if !proxies.without.is_empty() {
        set("NO_PROXY", &proxies.without.join(","));
    }
    let unit_text = format!("[Service]\nEnvironmentFile={settings}\n");
    let root = || Some(Owner::root());
    Ok(vec![
        Effect::directory(folder, 0o755, root()),
        Effect::WriteFile(Placement::new(
            settings.clone(),
            Content::bytes(text),
            0o600,
            root(),
        )),
        Effect::file(drop_in.clone(), Content::bytes(unit_text), 0o644, root()),
        Effect::UnitState(UnitState::up(unit, [settings, drop_in])),
    ])
}

/// Removes a lock, once more sure that nobody holds it. Its time of change is part of the name, so that a
/// later lock at the same place is another thing to do.
fn remove_lock(path: &str) -> Effect {
    let written = std::fs::metadata(path).map_or(0, |meta| meta.mtime());
    let owned = path.to_owned();
    Effect::Irreversible(Irreversible::new(
        format!("remove {path}, left behind at {written}"),
        APPROVAL,
        move |host, _| {
            let at = HostPath::new(&owned)
                .map_err(|error| StepError::new(code::STEP_FAILED, error.to_string()))?;
            let real = host.root.outside(&at);
            let text = std::fs::read_to_string(&real).unwrap_or_default();
            let holder = text.trim_matches('\0').trim().parse::<u32>().ok();
            if let Some(pid) = holder
                && std::path::Path::new("/proc").join(pid.to_string()).exists()
            {
                let sentence = format!("{owned} is held by process {pid} by now, and stays");
                return Err(StepError::new(code::PACKAGES_LOCKED, sentence));
            }
            match std::fs::remove_file(&real) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    let sentence = format!("{owned} cannot be removed: {error}");
                    Err(StepError::new(code::STEP_FAILED, sentence))
                }
                _ => Ok(()),
            }
        },
    ))
}

/// One kind of thing, mended.
struct Mend {
    id: &'static str,
    title: &'static str,
    needs: Vec<String>,
    effects: Vec<Effect>,
}

impl Step for Mend {
    fn id(&self) -> &str {
        self.id
    }

    fn title(&self) -> String {
        self.title.to_owned()
    }

    fn needs(&self) -> Vec<String> {
        self.needs.clone()
    }

    fn desired(&self, _: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        Ok(self.effects.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::Mode;

    #[test]
    fn what_is_mended_has_an_order_that_works() {
        let fixes = [
            Fix::StartUnit("docker.service".into()),
            Fix::Package("docker.io".into()),
            Fix::StopUnit("grafana-server.service".into()),
            Fix::RemoveLock("/run/yum.pid".into()),
            Fix::Folder("/tmp".into()),
            Fix::OpenPorts(vec![9100]),
        ];
        let plan = plan(&fixes, &Request::new(Mode::Node)).unwrap();
        let ids: Vec<&str> = plan.steps().iter().map(|step| step.id()).collect();
        assert_eq!(ids, ["locks", "folders", "packages", "stop", "start", "ports"]);
        assert_eq!(plan.steps()[2].needs(), ["locks", "folders"]);
        assert_eq!(plan.steps()[4].needs(), ["locks", "folders", "packages", "stop"]);
    }

    #[test]
    fn a_password_in_a_proxy_stays_in_a_file_of_roots_own() {
        let proxies = Proxies {
            http: None,
            https: Some("http://user:can\"ary@proxy:3128".into()),
            without: vec!["10.0.0.0/8".into()],
        };
        let effects = proxy_for("docker.service", &proxies).unwrap();
        let described: String = effects
            .iter()
            .map(|effect| format!("{effect:?} {}\n", effect.describe()))
            .collect();
        assert!(!described.contains("ary"), "{described}");
        let with_password = effects.iter().find_map(|effect| match effect {
            Effect::WriteFile(file) if file.path.as_str().ends_with(".env") => Some(file),
            _ => None,
        });
        assert_eq!(with_password.unwrap().mode, 0o600);
    }
}
