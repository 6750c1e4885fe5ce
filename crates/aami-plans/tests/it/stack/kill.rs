//! Killed anywhere, an installation is continued by the same command, and taken back by uninstalling.

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
    let boundaries = boundaries();
    assert!(boundaries.len() > 300, "only {} boundaries", boundaries.len());
    for (at, boundary) in boundaries.iter().enumerate() {
        let house = killed(at);
        let (report, missing) = house.run(Mode::Resume, None).unwrap();
        let story = format!("killed at {at} {boundary:?}, then continued");
        let failure = report.failure().map(|(code, why)| format!("{code}: {why}"));
        assert_eq!((failure, missing), (None, Vec::new()), "{story}");
        house.picture().must_be(&wanted, &story);
        // No token is on the host that the control plane did not make.
        assert!(*house.tokens.lock().unwrap() >= 1, "{story}");
    }
}

#[test]
fn killed_at_every_boundary_uninstalling_leaves_the_host_as_it_was() {
    let before = House::new().picture();
    for (at, boundary) in boundaries().iter().enumerate() {
        let house = killed(at);
        let left = house.uninstall(true).report.left;
        let story = format!("killed at {at} {boundary:?}, then uninstalled");
        assert_eq!(left, Vec::<String>::new(), "{story}");
        house.picture().must_be(&before, &story);
    }
}

#[test]
fn an_uninstall_killed_anywhere_is_continued_by_the_next() {
    let before = House::new().picture();
    let whole = House::new();
    whole.install();
    let watch = Arc::new(CutOff::never());
    whole.undo(true, Some(watch.clone())).unwrap();
    whole.picture().must_be(&before, "installed, then uninstalled");
    let boundaries = watch.passed();
    assert!(boundaries.len() > 150, "only {} boundaries", boundaries.len());
    for (at, boundary) in boundaries.iter().enumerate().step_by(3) {
        let house = House::new();
        house.install();
        let watch = Arc::new(CutOff::at(at as u64));
        let _ = house.undo(true, Some(watch.clone()));
        assert!(watch.has_killed(), "{at}");
        house.uninstall(true);
        house.picture().must_be(
            &before,
            &format!("uninstall killed at {at} {boundary:?}, then repeated"),
        );
    }
}
