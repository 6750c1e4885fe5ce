//! Signals, failures, panics, and who hears of them.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aami_install::effect::Irreversible;
use aami_install::{
    Cancel, Content, Effect, Installer, Mode, Plan, Probe, Sink, Step, StepContext, StepError, Survey,
};
use aami_model::run::{RunEvent, RunEventKind, RunStatus, StepOutcome};
use aami_model::{Exit, code};

use crate::house::{House, options, path};
use crate::plan::{self, Recipe, Wants};

#[test]
fn a_signal_stops_between_two_effects_and_the_next_run_goes_on() {
    let undisturbed = House::new();
    undisturbed.install(&plan::node(&undisturbed));
    let house = House::new();
    let host = house.host(None);
    let cancel = Cancel::new();
    let canceller = cancel.clone();
    // When the run is called off as the exporter's step begins,
    let plan = plan::node(&house);
    let report = Installer::new(&host, &plan, options())
        .unwrap()
        .cancelled_by(cancel)
        .sink(move |event: &RunEvent| {
            if matches!(&event.kind, RunEventKind::StepStarted { step, .. } if step == "folders") {
                canceller.cancel();
            }
        })
        .run(Mode::Fresh)
        .unwrap();
    // then it ends as interrupted (unless it was through before the flag was seen),
    if report.status != RunStatus::Completed {
        assert_eq!(
            (report.status, report.exit()),
            (RunStatus::Interrupted, Exit::Interrupted)
        );
    }
    // and the same command completes it.
    house.install(&plan);
    house
        .picture()
        .must_be(&undisturbed.picture(), "interrupted, then continued");
}

#[test]
fn a_run_called_off_before_it_began_changes_nothing() {
    let house = House::new();
    let before = house.picture();
    let host = house.host(None);
    let cancel = Cancel::new();
    cancel.cancel();
    let plan = plan::node(&house);
    let report = Installer::new(&host, &plan, options())
        .unwrap()
        .cancelled_by(cancel)
        .run(Mode::Fresh)
        .unwrap();
    assert_eq!(report.exit(), Exit::Interrupted);
    house.picture().must_be(&before, "called off");
}

#[test]
fn cancelling_inside_a_step_stops_before_its_next_effect() {
    let house = House::new();
    let cancel = Cancel::new();
    let canceller = cancel.clone();
    let step = Wants::step("two", &[], move || {
        let canceller = canceller.clone();
        vec![
            Effect::Irreversible(Irreversible::new("first", "yes", move |_, _| {
                canceller.cancel();
                Ok(())
            })),
            Effect::file(path("/etc/second"), Content::bytes("2"), 0o644, None),
        ]
    });
    let plan = Plan::new("two", "Two", vec![step]).unwrap();
    let host = house.host(None);
    let with = aami_install::Options {
        approvals: vec!["yes".into()],
        ..options()
    };
    let report = Installer::new(&host, &plan, with)
        .unwrap()
        .cancelled_by(cancel)
        .run(Mode::Fresh)
        .unwrap();
    assert_eq!(report.status, RunStatus::Interrupted);
    assert_eq!(report.executed.len(), 1);
    assert!(!house.exists("etc/second"));
}

#[test]
fn a_download_with_another_digest_places_nothing_and_says_both() {
    let house = House::new();
    let wrong = Recipe {
        program: b"<html>sign in</html>",
        ..Recipe::default()
    };
    let report = house.run(&plan::node_by(&house, wrong), None).unwrap();
    let (failed, sentence) = report.failure().unwrap();
    assert_eq!(
        (failed, report.exit()),
        (code::CHECKSUM_MISMATCH, Exit::Integrity)
    );
    for digest in [plan::PROGRAM, wrong.program].map(aami_install::Digest::of) {
        assert!(sentence.contains(&digest.to_string()), "{sentence}");
    }
    assert!(!house.exists("opt/aami/1.9.1/node_exporter"));
    assert_eq!(
        house.read("etc/default/node_exporter"),
        "ARGS=--the-operators-own\n"
    );
    let staging = house.real("var/lib/aami/install/default/node/staging");
    assert_eq!(
        std::fs::read_dir(staging).unwrap().count(),
        0,
        "the wrong bytes were kept"
    );
}

#[test]
fn a_service_that_dies_is_reported_with_its_last_words() {
    let house = House::new();
    let crashing = Recipe {
        program: b"CRASHES",
        pinned: b"CRASHES",
        ..Recipe::default()
    };
    let report = house.run(&plan::node_by(&house, crashing), None).unwrap();
    let (failed, sentence) = report.failure().unwrap();
    assert_eq!(failed, code::UNIT_FAILED);
    assert_eq!(
        sentence,
        "node_exporter.service did not start: exit-code (exit status 1); its last words: \
         /usr/local/bin/node_exporter: listen tcp :9100: bind: address already in use"
    );
    // Mended, the same command completes it.
    house.install(&plan::node(&house));
}

#[test]
fn a_masked_unit_is_the_operators_decision() {
    let house = House::new();
    std::fs::remove_file(house.real("usr/lib/systemd/system/prometheus.service")).unwrap();
    house
        .host(None)
        .units
        .as_ref()
        .unwrap()
        .stop("prometheus.service")
        .unwrap();
    std::os::unix::fs::symlink("/dev/null", house.real("etc/systemd/system/prometheus.service")).unwrap();
    let report = house.run(&plan::node(&house), None).unwrap();
    let (failed, sentence) = report.failure().unwrap();
    assert_eq!(failed, code::UNIT_FAILED);
    assert!(
        sentence.starts_with("prometheus.service is masked on this host"),
        "{sentence}"
    );
}

#[test]
fn what_cannot_be_undone_needs_its_approval() {
    let house = House::new();
    let before = house.picture();
    let step = Wants::step("wipe", &[], || {
        vec![Effect::Irreversible(Irreversible::new(
            "the disk sda is wiped",
            "wipe-sda",
            |_, _| Ok(()),
        ))]
    });
    let plan = Plan::new("wipe", "Wipe", vec![step]).unwrap();
    let report = house.run(&plan, None).unwrap();
    let (failed, sentence) = report.failure().unwrap();
    assert_eq!(failed, code::APPROVAL_MISSING);
    assert_eq!(
        sentence,
        "the disk sda is wiped cannot be taken back and needs the approval wipe-sda"
    );
    house.picture().must_be(&before, "refused");
}

struct Panics;

impl Step for Panics {
    fn id(&self) -> &str {
        "panics"
    }
    fn title(&self) -> String {
        "Panicking".into()
    }
    fn probe(&self, _: &Survey<'_>) -> Result<Probe, StepError> {
        Ok(Probe::Missing("always".into()))
    }
    fn apply(&self, _: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        panic!("out of cheese")
    }
}

#[test]
fn a_step_that_breaks_off_fails_alone() {
    let house = House::new();
    let after = Wants::step("after", &["panics"], || {
        vec![Effect::directory(path("/etc/aami"), 0o755, None)]
    });
    let plan = Plan::new("panics", "Panics", vec![Box::new(Panics), after]).unwrap();
    let report = house.run(&plan, None).unwrap();
    assert_eq!(
        report.failure().unwrap().1,
        "the step panics broke off: out of cheese"
    );
    assert!(
        !house.exists("etc/aami"),
        "a step ran although what it needs failed"
    );
}

#[test]
fn events_are_numbered_without_a_gap_and_every_sink_hears_all() {
    let house = House::new();
    let heard: [Arc<Mutex<Vec<RunEvent>>>; 2] = Default::default();
    let host = house.host(None);
    let plan = plan::node(&house);
    let mut installer = Installer::new(
        &host,
        &plan,
        aami_install::Options {
            parallel: 4,
            ..options()
        },
    )
    .unwrap();
    for heard in &heard {
        let heard = heard.clone();
        installer = installer.sink(move |event: &RunEvent| heard.lock().unwrap().push(event.clone()));
    }
    assert_eq!(installer.run(Mode::Fresh).unwrap().failure(), None);
    let [one, two] = heard.map(|heard| heard.lock().unwrap().clone());
    assert_eq!(one, two);
    let numbers: Vec<u64> = one.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=one.len() as u64).collect::<Vec<_>>());
    assert!(matches!(one[0].kind, RunEventKind::RunStarted { .. }));
    assert!(matches!(
        one.last().unwrap().kind,
        RunEventKind::RunFinished {
            status: RunStatus::Completed,
            ..
        }
    ));
    // The log holds the same stream.
    let log = house.read("var/lib/aami/install/default/node/log");
    let logged: Vec<RunEvent> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(logged, one);
}

/// A sink that hangs until it is let go.
struct Hangs(mpsc::Receiver<()>);

impl Sink for Hangs {
    fn event(&mut self, _: &RunEvent) {
        let _ = self.0.recv_timeout(Duration::from_secs(60));
    }
}

#[test]
fn a_sink_that_hangs_does_not_hold_up_the_install() {
    let house = House::new();
    let host = house.host(None);
    let plan = plan::node(&house);
    let (_never, hang) = mpsc::channel();
    let (done, is_done) = mpsc::channel();
    let report = Installer::new(&host, &plan, options())
        .unwrap()
        .sink(Hangs(hang))
        .sink(move |event: &RunEvent| {
            if matches!(event.kind, RunEventKind::RunFinished { .. }) {
                let _ = done.send(());
            }
        })
        .run(Mode::Fresh)
        .unwrap();
    assert_eq!(report.failure(), None);
    is_done.recv_timeout(Duration::from_secs(10)).unwrap();
}

#[test]
fn independent_steps_are_at_work_together() {
    let house = House::new();
    // Each of two steps ends only when the other has begun.
    let meet = Arc::new(std::sync::Barrier::new(2));
    let step = |id: &'static str, meet: Arc<std::sync::Barrier>| {
        Wants::step(id, &[], move || {
            let meet = meet.clone();
            vec![Effect::Irreversible(Irreversible::new(id, "yes", move |_, _| {
                meet.wait();
                Ok(())
            }))]
        })
    };
    let plan = Plan::new(
        "pair",
        "Pair",
        vec![step("left", meet.clone()), step("right", meet)],
    )
    .unwrap();
    let host = house.host(None);
    let with = aami_install::Options {
        approvals: vec!["yes".into()],
        parallel: 2,
        ..options()
    };
    assert_eq!(
        Installer::new(&host, &plan, with)
            .unwrap()
            .run(Mode::Fresh)
            .unwrap()
            .failure(),
        None
    );
}

#[test]
fn a_service_that_never_came_up_leaves_no_ghost_behind() {
    let house = House::new();
    let before = house.picture();
    let crashing = Recipe {
        program: b"CRASHES",
        pinned: b"CRASHES",
        ..Recipe::default()
    };
    let report = house.run(&plan::node_by(&house, crashing), None).unwrap();
    assert_eq!(report.status, RunStatus::Failed);
    assert!(
        house.picture().units.iter().any(|unit| unit.failed),
        "nothing failed"
    );
    house.uninstall(&plan::node(&house));
    house.picture().must_be(&before, "a failed install, uninstalled");
}
