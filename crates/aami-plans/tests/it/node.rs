//! The node plan without a control plane, on a temporary host with doubles of systemd and the account tools. What
//! answers on the exporters' ports answers only while their units run. Real services are the rig's.

mod called_off;
mod enrolled;
pub(crate) mod house;
mod kill;
mod lost;
mod plane;

use aami_install::Mode;
use aami_install::executor::{StepStanding, Verdict};
use aami_model::code;
use aami_model::run::StepOutcome;

use house::House;

#[test]
fn a_node_on_its_own_has_everything_but_a_registration() {
    // Given a machine with two GPUs and a folder of components, and nobody to ask,
    let house = House::new();
    let before = house.picture();
    // when it is made a node on its own,
    let (report, summary) = house.install();
    // then its exporters and its agent run, and it says where they are to be scraped and as what.
    let units: Vec<String> = house.running();
    for unit in [
        "aami-agent.service",
        "aami-checks.timer",
        "aami-dcgm-exporter.service",
        "aami-node-exporter.service",
    ] {
        assert!(units.iter().any(|running| running == unit), "{unit}: {units:?}");
    }
    let kinds: Vec<(&str, u16)> = summary
        .endpoints
        .iter()
        .map(|endpoint| (endpoint.kind.name(), endpoint.port))
        .collect();
    assert_eq!(
        kinds,
        [("node_exporter", 9100), ("dcgm_exporter", 9400), ("aami", 9105)]
    );
    let label = |name: &str| summary.labels.0.get(name).map(String::as_str);
    assert_eq!((label("gpu_count"), label("rack")), (Some("2"), Some("a1")));
    assert_eq!(summary.server, None);
    // Nothing that speaks for it was made, and what it is stands in its note.
    assert!(!house.exists("var/lib/aami/agent/credential") && !house.exists("var/lib/aami/agent/node.key"));
    let noted = house.read("var/lib/aami/agent/registration.json");
    assert!(
        !noted.contains("\"server\"") && noted.contains("\"rack\": \"a1\""),
        "{noted}"
    );
    // What a control plane would be asked is told to be left out.
    let skipped: Vec<&str> = report
        .steps
        .iter()
        .filter(|step| matches!(step.verdict, Verdict::Ended(StepOutcome::NotApplicable)))
        .map(|step| step.id.as_str())
        .collect();
    assert_eq!(skipped, ["preflight", "validate_token", "verify"]);
    // Once more writes nothing,
    let installed = house.picture();
    let (again, _) = house.install();
    assert!(!again.wrote, "{:?}", again.executed);
    house.picture().must_be(&installed, "a second run");
    // it is told to be well,
    for step in house.status().steps {
        let is_well = matches!(
            step.standing,
            StepStanding::Holds | StepStanding::NotApplicable(_)
        );
        assert!(is_well, "{}: {:?}", step.id, step.standing);
    }
    // and taking it back asks nobody and leaves nothing.
    house.uninstall();
    house.picture().must_be(&before, "uninstalled");
}

/// The value of each step in what the exporter would serve of the installation.
fn told(house: &House) -> Vec<(String, String)> {
    let text = house.read(TOLD);
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("aami_install_step_status{"));
    lines
        .map(|line| {
            let (labels, value) = line.split_once("} ").unwrap();
            assert!(labels.starts_with("cluster=\"default\",host=\"gpu-01\",plan=\"node\","));
            let step = labels.split('"').nth(7).unwrap();
            (step.to_owned(), value.to_owned())
        })
        .collect()
}

/// Where it is told how the installation goes.
const TOLD: &str = "var/lib/node_exporter/textfile/aami_install_default_node.prom";

#[test]
fn how_a_nodes_installation_went_stands_where_its_exporter_serves_it() {
    // Given a machine that is no node yet, and so has no such folder,
    let house = House::telling();
    let before = house.picture();
    // when it becomes a node and its agent does not answer,
    house.silence(9105);
    assert!(house.run(Mode::Fresh, None).unwrap().0.failure().is_some());
    // then that step stands there as failed;
    assert!(told(&house).contains(&("agent".to_owned(), "3".to_owned())));
    // once it answers, every step stands there as completed,
    house.speak();
    house.install();
    let steps = told(&house);
    assert!(
        steps.len() > 7 && steps.iter().all(|(_, value)| value == "2"),
        "{steps:?}"
    );
    // a run with nothing to do writes it no more,
    let file = || house.read(TOLD);
    let written = file();
    assert!(!house.install().0.wrote);
    assert_eq!(file(), written);
    // and it goes with the node.
    house.uninstall();
    house.picture().must_be(&before, "uninstalled");
}

#[test]
fn labels_and_what_was_adopted_are_remembered_by_a_node_on_its_own() {
    let house = House::new();
    house.install();
    // Given a run that says nothing of labels, it has those it had.
    let (_, summary) = house.install_with(|options| options.labels = aami_model::label::Labels::default());
    assert_eq!(summary.labels.0.get("rack").map(String::as_str), Some("a1"));
    // What is said now stands above it.
    let (_, summary) = house.install_with(|options| {
        options.labels.0.clear();
        options.labels.0.insert("rack".to_owned(), "b2".to_owned());
    });
    assert_eq!(summary.labels.0.get("rack").map(String::as_str), Some("b2"));
}

#[test]
fn a_machine_that_is_enrolled_does_not_stand_on_its_own_as_well() {
    // Given a machine that is enrolled,
    let house = House::new();
    house.enrolled_with("https://aami.example:8080");
    let before = house.picture();
    // when it shall stand on its own, it is refused before anything is changed, and told what to do.
    let report = house.run(Mode::Fresh, None).unwrap().0;
    let (code, why) = report.failure().expect("it is a node of a fleet");
    assert_eq!(code, code::CONFLICT, "{why}");
    assert!(why.contains("https://aami.example:8080"), "{why}");
    house.picture().must_be(&before, "refused");
}

#[test]
fn without_the_agent_nothing_is_served_by_it() {
    let house = House::new();
    let (_, summary) = house.install_with(|options| options.skip_agent = true);
    assert!(summary.endpoints.iter().all(|endpoint| endpoint.port != 9105));
    assert!(!house.running().iter().any(|unit| unit == "aami-agent.service"));
}

#[test]
fn an_agent_that_does_not_answer_is_a_failure_that_the_next_run_mends() {
    // Given a node whose agent's port is silent,
    let house = House::new();
    house.silence(9105);
    let report = house.run(Mode::Fresh, None).unwrap().0;
    let (code, why) = report.failure().expect("nobody would see its Xids");
    assert_eq!(code, code::UNIT_FAILED, "{why}");
    // then status says so,
    let status = house.status();
    let agent = status.steps.iter().find(|step| step.id == "agent").unwrap();
    assert!(
        matches!(&agent.standing, StepStanding::Missing(why) if why.contains("does not answer")),
        "{:?}",
        agent.standing
    );
    // and once it answers, the same run ends well.
    house.speak();
    house.install();
}
