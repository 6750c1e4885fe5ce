//! Agents of earlier versions: each update leaves the one before as the way back, and those before that have no use.

use std::collections::BTreeSet;

use aami_install::{
    Content, Effect, Host, HostPath, InstallError, Installer, Options, Owner, UninstallReport,
};

use super::Node;

/// What stands before the version in the name of an agent's folder.
const BEFORE: &str = "aami-agent-";
/// The program in it.
const PROGRAM: &str = "aami-agent";

/// Takes back the installed agents of all versions but these, as their own installs would be: what the receipt names,
/// and nothing else. What another plan needs stays.
///
/// In: the plan, to look at what is installed; the versions that stay. Out: what became of the others. What the plan
/// itself wants stays whatever is named. Fails where another command is changing this host.
pub fn take_back_older_agents(
    host: &Host,
    node: &Node,
    options: &Options,
    keep: [&str; 2],
) -> Result<UninstallReport, InstallError> {
    let installer = || Installer::new(host, node.plan(), options.clone());
    let programs = &node.session().layout.programs;
    let older = versions(programs.as_str(), &installer()?.recorded()?, keep);
    let mut effects = Vec::new();
    for version in older {
        let folder = programs.join(&format!("{BEFORE}{version}"));
        let program = folder.as_ref().ok().and_then(|folder| folder.join(PROGRAM).ok());
        let (Ok(folder), Some(program)) = (folder, program) else {
            continue;
        };
        let owner = Some(Owner::root());
        effects.push(Effect::directory(folder, 0o755, owner.clone()));
        effects.push(Effect::binary(program, Content::bytes(Vec::new()), owner));
    }
    if effects.is_empty() {
        return Ok(UninstallReport::default());
    }
    installer()?.take_back(&effects)
}

/// The versions of agents that are on record below a folder, but those that stay.
fn versions(programs: &str, recorded: &[String], keep: [&str; 2]) -> BTreeSet<String> {
    let of = |key: &String| -> Option<String> {
        let below = HostPath::new(key.as_str()).ok()?;
        let below = below.as_str().strip_prefix(programs)?.strip_prefix('/')?;
        let folder = below.split('/').next()?;
        let version = folder.strip_prefix(BEFORE)?;
        (!keep.contains(&version)).then(|| version.to_owned())
    };
    recorded.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_agents_are_meant_and_never_those_that_stay() {
        let recorded = [
            "/opt/aami",
            "/opt/aami/aami-agent-1.0.0",
            "/opt/aami/aami-agent-1.0.0/aami-agent",
            "/opt/aami/aami-agent-1.1.0/aami-agent",
            "/opt/aami/aami-agent-1.2.0/aami-agent",
            "/opt/aami/node_exporter-1.0.0/node_exporter",
            "/usr/local/bin/aami-agent",
            "/srv/aami-agent-0.1.0/aami-agent",
            "unit aami-agent.service",
        ]
        .map(str::to_owned);
        let older = versions("/opt/aami", &recorded, ["1.2.0", "1.1.0"]);
        assert_eq!(older, BTreeSet::from(["1.0.0".to_owned()]));
    }
}
