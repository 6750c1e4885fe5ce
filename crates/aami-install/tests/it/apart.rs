//! A file that one step writes and a unit that another one runs with it: an edit is named as one thing, and mending it
//! starts the unit again, which may have been started with the edit, by a reboot if by nobody.

use std::sync::Arc;

use aami_install::checkpoint::Act;
use aami_install::doubles::CutOff;
use aami_install::effect::{Placement, UnitState};
use aami_install::executor::StepStanding;
use aami_install::{Content, Effect, Installer, Mode, Plan};
use serde_json::Value;

use crate::house::{House, options, path};
use crate::plan::Wants;

const CONFIG: &str = "/etc/agent.conf";
const UNIT: &str = "agent.service";

fn plan() -> Plan {
    let steps = vec![
        Wants::step("configure", &[], || {
            let text = Content::bytes("port: 9100\n");
            vec![Effect::WriteFile(Placement::new(path(CONFIG), text, 0o644, None))]
        }),
        Wants::step("start", &["configure"], || {
            let file = path("/etc/systemd/system/agent.service");
            let text = Content::bytes("[Service]\nExecStart=/agent\n[Install]\nWantedBy=multi-user.target\n");
            vec![
                Effect::WriteFile(Placement::new(file.clone(), text, 0o644, None)),
                Effect::UnitState(UnitState::up(UNIT, [file, path(CONFIG)])),
            ]
        }),
    ];
    Plan::new("node", "A node", steps).unwrap()
}

/// An installed host whose unit was started with what somebody made of its configuration.
fn edited() -> House {
    let house = House::new();
    house.write("agent", "#!/bin/sh\n", 0o755);
    house.install(&plan());
    house.write("etc/agent.conf", "port: 9199\n", 0o644);
    house.host(None).units.unwrap().restart(UNIT).unwrap();
    house
}

fn steps_that_are_not_well(house: &House) -> Vec<String> {
    let (host, plan) = (house.host(None), plan());
    let status = Installer::new(&host, &plan, options()).unwrap().status().unwrap();
    let steps = status.steps.into_iter();
    let missing = steps.filter(|step| !matches!(step.standing, StepStanding::Holds));
    missing.map(|step| step.id).collect()
}

#[test]
fn an_edit_is_named_where_it_is_and_what_was_started_with_it_is_started_again() {
    let house = edited();
    assert_eq!(steps_that_are_not_well(&house), ["configure"]);
    let report = house.run_as(&plan(), Mode::Repair, None).unwrap();
    let done: Vec<&str> = (report.executed.iter())
        .map(|effect| effect.subject.as_str())
        .collect();
    assert_eq!(done, [CONFIG, UNIT]);
    assert_eq!(steps_that_are_not_well(&house), Vec::<String>::new());
    let again = house.run_as(&plan(), Mode::Repair, None).unwrap();
    assert!(!again.wrote && again.executed.is_empty(), "{:?}", again.executed);
    // Other rights are no reason to start anything.
    crate::mending::mode(&house, "etc/agent.conf", 0o600);
    let report = house.run_as(&plan(), Mode::Repair, None).unwrap();
    let kinds: Vec<&str> = report.executed.iter().map(|effect| effect.kind).collect();
    assert_eq!(kinds, ["write_file"]);
}

#[test]
fn where_an_earlier_version_did_not_note_what_a_unit_reads_it_is_started_again_all_the_same() {
    let house = edited();
    let receipt = "var/lib/aami/install/default/node/receipt.json";
    let mut earlier: Value = serde_json::from_str(&house.read(receipt)).unwrap();
    let effects = earlier["effects"].as_array_mut().unwrap().iter_mut();
    let forgotten = effects.filter_map(|record| record.as_object_mut()?.remove("inputs"));
    assert_eq!(forgotten.count(), 1);
    house.write(receipt, &earlier.to_string(), 0o600);
    let report = house.run_as(&plan(), Mode::Repair, None).unwrap();
    let done: Vec<&str> = (report.executed.iter())
        .map(|effect| effect.subject.as_str())
        .collect();
    assert_eq!(done, [CONFIG, UNIT]);
    // It is noted from then on.
    assert!(house.read(receipt).contains("\"inputs\""));
}

#[test]
fn killed_between_the_two_the_next_run_starts_it_again() {
    let watch = Arc::new(CutOff::never());
    edited()
        .run_as(&plan(), Mode::Repair, Some(watch.clone()))
        .unwrap();
    let boundaries = watch.passed();
    let is = |act: Act, subject: &str| {
        let mut passed = boundaries.iter();
        passed
            .position(|(passed, what)| *passed == act && what.contains(subject))
            .unwrap()
    };
    let (mended, started) = (is(Act::Effect, CONFIG), is(Act::Command, UNIT));
    assert!(mended < started, "{boundaries:?}");
    for (at, boundary) in boundaries.iter().enumerate().take(started + 1).skip(mended) {
        let house = edited();
        let watch = Arc::new(CutOff::at(at as u64));
        let _ = house.run_as(&plan(), Mode::Repair, Some(watch.clone()));
        assert!(watch.has_killed(), "{at}");
        let report = house.run_as(&plan(), Mode::Resume, None).unwrap();
        assert_eq!(report.failure(), None, "{at}");
        assert!(
            report.executed.iter().any(|effect| effect.subject == UNIT),
            "killed at {at} {boundary:?}: it runs with the edit: {:?}",
            report.executed
        );
        assert_eq!(house.read("etc/agent.conf"), "port: 9100\n");
        assert_eq!(steps_that_are_not_well(&house), Vec::<String>::new(), "{at}");
    }
}
