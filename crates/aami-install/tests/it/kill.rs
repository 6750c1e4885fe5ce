//! Killed anywhere, a run is continued by the same command, and taken back by uninstalling.

use std::sync::Arc;

use aami_install::checkpoint::Act;
use aami_install::doubles::CutOff;
use aami_install::{Installer, Mode};

use crate::house::House;
use crate::plan;

/// The checkpoints of an undisturbed run.
fn boundaries() -> Vec<(Act, String)> {
    let house = House::new();
    let watch = Arc::new(CutOff::never());
    let report = house.run(&plan::node(&house), Some(watch.clone())).unwrap();
    assert_eq!(report.failure(), None);
    watch.passed()
}

/// Runs the plan on a fresh host and kills it at boundary `at`.
fn killed(at: usize) -> House {
    let house = House::new();
    let watch = Arc::new(CutOff::at(at as u64));
    let _ = house.run(&plan::node(&house), Some(watch.clone()));
    assert!(watch.has_killed(), "the run ended before boundary {at}");
    house
}

#[test]
fn killed_at_every_boundary_a_second_run_comes_to_the_same_end() {
    // Given what an undisturbed run makes,
    let undisturbed = House::new();
    undisturbed.install(&plan::node(&undisturbed));
    let (wanted, receipt) = (undisturbed.picture(), undisturbed.receipt("node"));
    let boundaries = boundaries();
    assert!(boundaries.len() > 150, "only {} boundaries", boundaries.len());
    for (at, boundary) in boundaries.iter().enumerate() {
        // when a run is killed at any boundary and the command is given again,
        let house = killed(at);
        house.install(&plan::node(&house));
        // then the host is the same, and so is what is recorded for undoing it.
        let story = format!("killed at {at} {boundary:?}, then continued");
        house.picture().must_be(&wanted, &story);
        let again = house.receipt("node");
        let records = |receipt: &aami_install::receipt::Receipt| {
            let mut records: Vec<_> = receipt
                .effects
                .iter()
                .map(|r| format!("{} {:?} {:?} {}", r.step, r.effect, r.before, r.done))
                .collect();
            records.sort();
            records
        };
        assert_eq!(records(&again), records(&receipt), "{story}");
    }
}

#[test]
fn killed_at_every_boundary_uninstalling_leaves_the_host_as_it_was() {
    let before = House::new().picture();
    for (at, boundary) in boundaries().iter().enumerate() {
        let house = killed(at);
        let report = house.uninstall(&plan::node(&house));
        assert_eq!(report.left, Vec::<String>::new(), "killed at {at} {boundary:?}");
        house
            .picture()
            .must_be(&before, &format!("killed at {at} {boundary:?}, then uninstalled"));
    }
}

#[test]
fn an_uninstall_killed_at_every_boundary_is_continued_by_the_next() {
    let before = House::new().picture();
    let whole = House::new();
    whole.install(&plan::node(&whole));
    let watch = Arc::new(CutOff::never());
    whole.undo(&plan::node(&whole), Some(watch.clone())).unwrap();
    whole.picture().must_be(&before, "installed, then uninstalled");
    let boundaries = watch.passed();
    assert!(boundaries.len() > 100, "only {} boundaries", boundaries.len());
    for (at, boundary) in boundaries.iter().enumerate() {
        let house = House::new();
        house.install(&plan::node(&house));
        let watch = Arc::new(CutOff::at(at as u64));
        let _ = house.undo(&plan::node(&house), Some(watch.clone()));
        assert!(watch.has_killed());
        let report = house.uninstall(&plan::node(&house));
        assert!(report.kept.is_empty(), "{at} {boundary:?}: {:?}", report.kept);
        house.picture().must_be(
            &before,
            &format!("uninstall killed at {at} {boundary:?}, then repeated"),
        );
    }
}

#[test]
fn every_effect_is_durably_recorded_before_it_begins() {
    let mut receipt_durable = false;
    for (act, subject) in boundaries() {
        match act {
            Act::Record => receipt_durable = false,
            // The folder's sync is what makes the renamed receipt durable.
            Act::Sync if subject.ends_with("/install/default/node") => receipt_durable = true,
            Act::Effect => assert!(receipt_durable, "{subject} began before its record was durable"),
            _ => {}
        }
    }
}

#[test]
fn recording_costs_four_syncs_at_most_and_a_run_fewer_than_four_an_effect() {
    let boundaries = boundaries();
    let effects = boundaries.iter().filter(|(act, _)| *act == Act::Effect).count();
    let syncs = boundaries.iter().filter(|(act, _)| *act == Act::Sync).count();
    assert!(syncs <= 4 * effects, "{syncs} syncs for {effects} effects");
    // From the second step on (the first makes the folders): one for each original saved, one for
    // their folder, two for the receipt.
    let mut steps = 0;
    let (mut saved, mut recording) = (0, 0);
    for (act, subject) in &boundaries {
        match act {
            Act::Sync if subject.contains("/saved/") => saved += 1,
            Act::Sync if subject.contains("/install/default/node") => recording += 1,
            Act::Effect => {
                let allowed = 2 + usize::from(saved > 0);
                assert!(
                    steps == 0 || recording <= allowed,
                    "{recording} and {saved} syncs before {subject}"
                );
                steps += usize::from(recording > 0);
                (saved, recording) = (0, 0);
            }
            _ => {}
        }
    }
    assert!(steps >= 5, "only {steps} records were seen");
}

#[test]
fn killed_while_several_steps_are_at_work_a_second_run_comes_to_the_same_end() {
    let undisturbed = House::new();
    undisturbed.install(&plan::node(&undisturbed));
    let wanted = undisturbed.picture();
    let before = House::new().picture();
    for at in (0..boundaries().len()).step_by(7) {
        let house = House::new();
        let watch = Arc::new(CutOff::at(at as u64));
        let host = house.host(Some(watch.clone()));
        let node = plan::node(&house);
        let options = aami_install::Options {
            parallel: 4,
            ..crate::house::options()
        };
        let _ = Installer::new(&host, &node, options).unwrap().run(Mode::Fresh);
        assert!(watch.has_killed(), "{at}");
        if at % 2 == 0 {
            house.install(&node);
            house
                .picture()
                .must_be(&wanted, &format!("four at work, killed at {at}, then continued"));
        } else {
            house.uninstall(&node);
            house.picture().must_be(
                &before,
                &format!("four at work, killed at {at}, then uninstalled"),
            );
        }
    }
}
