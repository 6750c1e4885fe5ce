use aami_install::{Installer, Mode, Options, Plan, RunReport};

use super::super::Alone;
use super::super::gpu_exporter::tests::{Place, options};
use super::*;
use crate::node::Node;

/// The plan of this step alone, with a program to leave on the host.
fn plan(agent: &std::path::Path) -> Plan {
    let mut wanted = options("127.0.0.1", Purpose::Install, None);
    wanted.skip_checks = false;
    wanted.agent = Some(agent.to_owned());
    let node = Node::new(wanted).unwrap();
    let step = Alone(Checks(node.session().clone()), Vec::new());
    Plan::new("node", "A node", vec![Box::new(step)]).unwrap()
}

fn run(host: &Host, agent: &std::path::Path) -> RunReport {
    let plan = plan(agent);
    let installer = Installer::new(host, &plan, Options::default()).unwrap();
    let report = installer.run(Mode::Fresh).unwrap();
    assert!(report.failure().is_none(), "{:?}", report.failure());
    report
}

#[test]
fn where_there_is_no_systemd_cron_starts_the_rounds() {
    // Given a host with cron and without systemd,
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    let agent = folder.path().join("aami-agent");
    std::fs::write(&agent, "the agent").unwrap();
    let root = place.root.path();
    std::fs::create_dir(root.join("etc/cron.d")).unwrap();
    let mut host = place.host();
    host.units = None;
    // when checks are installed, then a line of root's starts a round each minute, and there is no unit,
    run(&host, &agent);
    let line = root.join("etc/cron.d/aami-checks");
    let text = std::fs::read_to_string(&line).unwrap();
    let program = "* * * * * root /opt/aami/aami-agent-";
    let is_started = text
        .lines()
        .any(|line| line.starts_with(program) && line.contains("/aami-agent checks run "));
    assert!(is_started, "{text}");
    assert!(!root.join("etc/systemd").exists());
    // which a second run leaves as it is,
    assert!(!run(&host, &agent).wrote);
    // and it goes with the node.
    let plan = plan(&agent);
    let installer = Installer::new(&host, &plan, Options::default()).unwrap();
    let taken = installer.uninstall(None).unwrap();
    assert!(taken.failed.is_empty(), "{:?}", taken.failed);
    assert!(!line.exists() && root.join("etc/cron.d").exists());
}

#[test]
fn who_wants_no_checks_has_none() {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    let agent = folder.path().join("aami-agent");
    std::fs::write(&agent, "the agent").unwrap();
    let mut wanted = options("127.0.0.1", Purpose::Install, None);
    wanted.agent = Some(agent);
    let node = Node::new(wanted).unwrap();
    let step = Alone(Checks(node.session().clone()), Vec::new());
    let plan = Plan::new("node", "A node", vec![Box::new(step)]).unwrap();
    let host = place.host();
    let dry = Installer::new(&host, &plan, Options::default())
        .unwrap()
        .dry_run()
        .unwrap();
    let effects = dry.steps.iter().flat_map(|step| &step.effects);
    let about: Vec<String> = effects.map(|planned| planned.effect.to_string()).collect();
    // The program stays, and nothing runs it.
    assert!(
        about
            .iter()
            .any(|effect| effect.contains("/usr/local/bin/aami-agent")),
        "{about:?}"
    );
    assert!(
        !about.iter().any(|effect| effect.contains("aami-check")),
        "{about:?}"
    );
}
