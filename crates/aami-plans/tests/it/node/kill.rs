//! Killed anywhere, the install of a node on its own is continued by the same command, and taken back by uninstalling.

use std::sync::Arc;

use aami_install::Mode;
use aami_install::checkpoint::Act;
use aami_install::doubles::CutOff;

use super::house::House;

/// The checkpoints of an undisturbed run.
fn boundaries() -> Vec<(Act, String)> {
    let house = House::new();
    let watch = Arc::new(CutOff::never());
    let (report, _) = house.run(Mode::Fresh, Some(watch.clone())).unwrap();
    assert_eq!(report.failure(), None);
    watch.passed()
}

/// Runs the plan on a fresh host and kills it at boundary `at`.
fn killed(at: usize) -> House {
    let house = House::new();
    let watch = Arc::new(CutOff::at(at as u64));
    let _ = house.run(Mode::Fresh, Some(watch.clone()));
    assert!(watch.has_killed(), "the run ended before boundary {at}");
    house
}

#[test]
fn killed_at_every_boundary_a_second_run_comes_to_the_same_end() {
    let undisturbed = House::new();
    undisturbed.install();
    let wanted = undisturbed.picture();
    drop(undisturbed);
    let boundaries = boundaries();
    assert!(boundaries.len() > 150, "only {} boundaries", boundaries.len());
    for (at, boundary) in boundaries.iter().enumerate() {
        let house = killed(at);
        let (report, _) = house.run(Mode::Resume, None).unwrap();
        let story = format!("killed at {at} {boundary:?}, then continued");
        let failure = report.failure().map(|(code, why)| format!("{code}: {why}"));
        assert_eq!(failure, None, "{story}");
        house.picture().must_be(&wanted, &story);
    }
}

#[test]
fn killed_at_every_boundary_uninstalling_leaves_the_host_as_it_was() {
    let fresh = House::new();
    let before = fresh.picture();
    drop(fresh);
    for (at, boundary) in boundaries().iter().enumerate() {
        let house = killed(at);
        house.uninstall();
        let story = format!("killed at {at} {boundary:?}, then uninstalled");
        house.picture().must_be(&before, &story);
    }
}
