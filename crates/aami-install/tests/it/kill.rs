//! Killed anywhere, a run is continued by the same command, and taken back by uninstalling.

use std::collections::BTreeSet;
use std::sync::Arc;

use aami_install::checkpoint::Act;
use aami_install::doubles::{CutOff, at_each_moment};
use aami_install::receipt::Receipt;
use aami_install::{Installer, Mode, Plan};

use crate::house::House;
use crate::plan;
use crate::toolshed::{self, SHEDS};
use crate::tree;

/// A host and a plan for it.
#[derive(Clone, Copy)]
struct Story {
    name: &'static str,
    house: fn() -> House,
    plan: fn(&House) -> Plan,
    /// The plan's name, as its receipt has it.
    receipt: &'static str,
}

/// Every kind of effect, and for packages and firewalls every tool.
const STORIES: [Story; 5] = [
    Story {
        name: "node",
        house: House::new,
        plan: plan::node,
        receipt: "node",
    },
    Story {
        name: "apt and firewalld",
        house: || SHEDS[0].house(),
        plan: |_| toolshed::plan(),
        receipt: "stack",
    },
    Story {
        name: "dnf and ufw",
        house: || SHEDS[1].house(),
        plan: |_| toolshed::plan(),
        receipt: "stack",
    },
    Story {
        name: "apt and nft",
        house: || SHEDS[2].house(),
        plan: |_| toolshed::plan(),
        receipt: "stack",
    },
    Story {
        name: "tree",
        house: House::new,
        plan: |_| tree::plan(),
        receipt: "stack",
    },
];

impl Story {
    /// The checkpoints of an undisturbed run.
    fn boundaries(self) -> Vec<(Act, String)> {
        let house = (self.house)();
        let watch = Arc::new(CutOff::never());
        let report = house.run(&(self.plan)(&house), Some(watch.clone())).unwrap();
        assert_eq!(report.failure(), None, "{}", self.name);
        watch.passed()
    }

    /// Runs the plan, and goes on from the host that a kill at each boundary leaves. Answers how many those are.
    fn killed_at_each(self, goes_on: impl Fn(House, &str)) -> usize {
        let house = (self.house)();
        let mut boundaries = 0;
        let report = at_each_moment(
            |watch| house.run(&(self.plan)(&house), Some(watch)).unwrap(),
            |at, act, subject| {
                boundaries += 1;
                let told = format!("{} killed at {at} {:?}", self.name, (act, subject));
                goes_on(house.copy(), &told);
            },
        );
        assert_eq!(report.failure(), None, "{}", self.name);
        boundaries
    }
}

const NODE: Story = STORIES[0];

fn boundaries() -> Vec<(Act, String)> {
    NODE.boundaries()
}

fn records(receipt: &Receipt) -> Vec<String> {
    let told = receipt
        .effects
        .iter()
        .map(|r| format!("{} {:?} {:?} {}", r.step, r.effect, r.before, r.done));
    let mut records: Vec<_> = told.collect();
    records.sort();
    records
}

#[test]
fn killed_at_every_boundary_a_second_run_comes_to_the_same_end() {
    for story in STORIES {
        // Given what an undisturbed run makes,
        let undisturbed = (story.house)();
        undisturbed.install(&(story.plan)(&undisturbed));
        let (wanted, receipt) = (undisturbed.picture(), undisturbed.receipt(story.receipt));
        let boundaries = story.killed_at_each(|house, told| {
            // when a run is killed at any boundary and the command is given again,
            house.install(&(story.plan)(&house));
            // then the host is the same, and so is what is recorded for undoing it.
            let told = format!("{told}, then continued");
            house.picture().must_be(&wanted, &told);
            assert_eq!(
                records(&house.receipt(story.receipt)),
                records(&receipt),
                "{told}"
            );
        });
        let least = if story.receipt == "node" { 150 } else { 50 };
        assert!(boundaries > least, "{}: only {boundaries}", story.name);
    }
}

#[test]
fn killed_at_every_boundary_uninstalling_leaves_the_host_as_it_was() {
    for story in STORIES {
        let before = (story.house)().picture();
        story.killed_at_each(|house, told| {
            let report = house.uninstall(&(story.plan)(&house));
            let told = format!("{told}, then uninstalled");
            assert_eq!(report.left, Vec::<String>::new(), "{told}");
            house.picture().must_be(&before, &told);
        });
    }
}

#[test]
fn an_uninstall_killed_at_every_boundary_is_continued_by_the_next() {
    for story in STORIES {
        let before = (story.house)().picture();
        let whole = (story.house)();
        whole.install(&(story.plan)(&whole));
        let mut boundaries = 0;
        at_each_moment(
            |watch| whole.undo(&(story.plan)(&whole), Some(watch)).unwrap(),
            |at, act, subject| {
                boundaries += 1;
                let house = whole.copy();
                let report = house.uninstall(&(story.plan)(&house));
                let told = format!(
                    "{}: uninstall killed at {at} {:?}, then repeated",
                    story.name,
                    (act, subject)
                );
                assert!(report.kept.is_empty(), "{told}: {:?}", report.kept);
                house.picture().must_be(&before, &told);
            },
        );
        whole
            .picture()
            .must_be(&before, &format!("{} installed, then uninstalled", story.name));
        let least = if story.receipt == "node" { 100 } else { 30 };
        assert!(boundaries > least, "{}: only {boundaries}", story.name);
    }
}

#[test]
fn every_effect_is_durably_recorded_before_it_begins() {
    for story in STORIES {
        let mut receipt_durable = false;
        for (act, subject) in story.boundaries() {
            match act {
                Act::Record => receipt_durable = false,
                // The folder's sync is what makes the renamed receipt durable.
                Act::Sync if subject.ends_with(&format!("/install/default/{}", story.receipt)) => {
                    receipt_durable = true;
                }
                Act::Effect => assert!(receipt_durable, "{subject} began before its record was durable"),
                _ => {}
            }
        }
    }
}

#[test]
fn what_was_placed_is_durable_before_anything_but_files_acts_and_at_the_end() {
    for story in STORIES {
        let mut unsynced = BTreeSet::new();
        let mut waited = false;
        for (act, subject) in story.boundaries() {
            let folder = subject.rsplit_once('/').map(|(folder, _)| folder.to_owned());
            match act {
                Act::Done if subject.starts_with('/') => {
                    unsynced.extend(folder);
                    waited = true;
                }
                Act::Sync => {
                    unsynced.remove(&subject);
                }
                Act::Effect if !subject.starts_with('/') => {
                    assert!(unsynced.is_empty(), "{subject} began before {unsynced:?}");
                }
                _ => {}
            }
        }
        assert!(unsynced.is_empty(), "{}: {unsynced:?} at the end", story.name);
        assert!(waited || story.receipt != "node");
    }
}

#[test]
fn recording_costs_four_syncs_at_most_and_a_run_fewer_than_four_an_effect() {
    for story in STORIES {
        let boundaries = story.boundaries();
        let effects = boundaries.iter().filter(|(act, _)| *act == Act::Effect).count();
        let syncs = boundaries.iter().filter(|(act, _)| *act == Act::Sync).count();
        assert!(
            syncs <= 4 * effects,
            "{}: {syncs} syncs for {effects} effects",
            story.name
        );
    }
    let boundaries = boundaries();
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
