//! Dry run and status: exact, and without a trace.

use std::sync::Arc;

use aami_install::doubles::CutOff;
use aami_install::executor::StepStanding;
use aami_install::{Installer, Mode, Options, Plan, Tracking};
use aami_model::run::StepStatus;

use crate::house::{House, options};
use crate::plan;

fn dry_run(house: &House, plan: &Plan) -> aami_install::executor::DryRun {
    let watch = Arc::new(CutOff::never());
    let host = house.host(Some(watch.clone()));
    let dry_run = Installer::new(&host, plan, options()).unwrap().dry_run().unwrap();
    assert_eq!(watch.passed(), [], "a dry run wrote");
    dry_run
}

#[test]
fn a_run_does_exactly_what_the_dry_run_said() {
    let house = House::new();
    let plan = plan::node(&house);
    let before = house.picture();
    let said: Vec<_> = dry_run(&house, &plan)
        .steps
        .into_iter()
        .flat_map(|step| step.effects)
        .collect();
    house.picture().must_be(&before, "after a dry run");
    let mut said: Vec<_> = said.into_iter().map(|planned| planned.effect).collect();
    let mut done = house.install(&plan).executed;
    assert!(done.len() > 15, "only {} effects", done.len());
    said.sort();
    done.sort();
    assert_eq!(said, done);
    // And when all holds, nothing would be done.
    assert!(
        dry_run(&house, &plan)
            .steps
            .iter()
            .all(|step| step.effects.is_empty())
    );
}

#[test]
fn a_dry_run_says_what_and_why_in_words() {
    let house = House::new();
    house.install(&plan::node(&house));
    house.write("etc/default/node_exporter", "changed", 0o644);
    let steps = dry_run(&house, &plan::node(&house)).steps;
    let step = steps.iter().find(|step| step.id == "node_exporter").unwrap();
    let lines: Vec<_> = step
        .effects
        .iter()
        .map(|planned| format!("{}: {}", planned.effect, planned.because))
        .collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].starts_with("write file /etc/default/node_exporter (0644 root:root, "),
        "{}",
        lines[0]
    );
    assert!(lines[0].ends_with("holds something else"), "{}", lines[0]);
    assert_eq!(
        lines[1],
        "set unit node_exporter.service (enabled, running): what it runs changed since it was started"
    );
}

#[test]
fn status_tells_what_drifted_and_changes_nothing() {
    let house = House::new();
    let plan = plan::node(&house);
    house.install(&plan);
    std::fs::remove_file(house.real("opt/aami/1.9.1/node_exporter")).unwrap();
    let before = house.picture();
    let watch = Arc::new(CutOff::never());
    let host = house.host(Some(watch.clone()));
    let status = Installer::new(&host, &plan, options()).unwrap().status().unwrap();
    assert_eq!(watch.passed(), []);
    house.picture().must_be(&before, "after a status");
    assert!(!status.is_healthy() && status.holder.is_none() && status.recorded > 15);
    let step = status
        .steps
        .iter()
        .find(|step| step.id == "node_exporter")
        .unwrap();
    assert_eq!(step.remembered.status, StepStatus::Completed);
    assert_eq!(
        step.standing,
        StepStanding::Missing("/opt/aami/1.9.1/node_exporter: missing".into())
    );
}

#[test]
fn reset_forgets_progress_and_keeps_what_undoing_needs() {
    let house = House::new();
    let before = house.picture();
    let plan = plan::node(&house);
    house.install(&plan);
    let host = house.host(None);
    Installer::new(&host, &plan, options()).unwrap().reset().unwrap();
    assert!(!house.exists("var/lib/aami/install/default/node/state.json"));
    assert!(house.exists("var/lib/aami/install/default/node/receipt.json"));
    house.uninstall(&plan);
    house.picture().must_be(&before, "reset, then uninstalled");
}

#[test]
fn a_data_folder_of_ones_own_is_as_it_was_after_uninstalling() {
    let base = crate::house::path("/home/me");
    for tracking in [
        Tracking::home(&base),
        Tracking::folder_in(base.join("data").unwrap()),
    ] {
        let house = House::new();
        house.folder("home/me/data", 0o700);
        let before = house.picture();
        let (plan, host) = (plan::node(&house), house.host(None));
        let installer = || {
            Installer::new(
                &host,
                &plan,
                Options {
                    tracking: tracking.clone(),
                    ..options()
                },
            )
            .unwrap()
        };
        assert_eq!(installer().run(Mode::Fresh).unwrap().failure(), None);
        assert!(!house.exists("run/aami") && !house.exists("var/lib/aami"));
        assert!(
            installer()
                .uninstall(Some(&house.control_plane()))
                .unwrap()
                .failed
                .is_empty()
        );
        house.picture().must_be(&before, &format!("{tracking:?}"));
    }
}
