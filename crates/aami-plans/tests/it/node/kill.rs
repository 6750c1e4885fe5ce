//! Killed anywhere, the install of a node is continued by the same command, and taken back by uninstalling: of a node on
//! its own, and of one that enrols and whose agent stays connected.

mod exporters;

use aami_install::Mode;
use aami_install::doubles::at_each_moment;

use super::house::House;

/// Installs a node, and goes on from the host that a kill at each boundary leaves. Answers how many those are.
fn killed_at_each(fresh: fn() -> House, goes_on: impl Fn(House, &str)) -> usize {
    let house = fresh();
    let mut boundaries = 0;
    let (report, _) = at_each_moment(
        |watch| house.run(Mode::Fresh, Some(watch)).unwrap(),
        |at, act, subject| {
            boundaries += 1;
            goes_on(house.copy(), &format!("killed at {at} {:?}", (act, subject)));
        },
    );
    assert_eq!(report.failure(), None);
    boundaries
}

fn is_continued(fresh: fn() -> House) {
    let undisturbed = fresh();
    undisturbed.install();
    let (wanted, known) = (undisturbed.picture(), undisturbed.nodes());
    drop(undisturbed);
    let boundaries = killed_at_each(fresh, |house, story| {
        let (report, _) = house.run(Mode::Resume, None).unwrap();
        let story = format!("{story}, then continued");
        let failure = report.failure().map(|(code, why)| format!("{code}: {why}"));
        assert_eq!(failure, None, "{story}");
        house.picture().must_be(&wanted, &story);
        // It is one node, however often it was told of.
        assert_eq!(house.nodes(), known, "{story}");
    });
    assert!(boundaries > 150, "only {boundaries} boundaries");
}

fn is_taken_back(fresh: fn() -> House) {
    let house = fresh();
    let before = house.picture();
    drop(house);
    killed_at_each(fresh, |house, story| {
        house.uninstall();
        let story = format!("{story}, then uninstalled");
        house.picture().must_be(&before, &story);
        // Also where the answer had not come back to the host's record.
        assert!(house.nodes().is_empty(), "{story}: {:?}", house.nodes());
    });
}

fn uninstalling_is_continued(fresh: fn() -> House) {
    let whole = fresh();
    let before = whole.picture();
    whole.install();
    let mut boundaries = 0;
    at_each_moment(
        |watch| whole.undo(Some(watch)).unwrap(),
        |at, act, subject| {
            boundaries += 1;
            let house = whole.copy();
            house.uninstall();
            let story = format!("uninstall killed at {at} {:?}, then repeated", (act, subject));
            house.picture().must_be(&before, &story);
            assert!(house.nodes().is_empty(), "{story}");
        },
    );
    whole.picture().must_be(&before, "installed, then uninstalled");
    assert!(boundaries > 100, "only {boundaries} boundaries");
}

#[test]
fn killed_at_every_boundary_a_second_run_comes_to_the_same_end() {
    is_continued(House::new);
}

#[test]
fn killed_at_every_boundary_uninstalling_leaves_the_host_as_it_was() {
    is_taken_back(House::new);
}

#[test]
fn an_uninstall_killed_anywhere_is_continued_by_the_next() {
    uninstalling_is_continued(House::new);
}

#[test]
fn killed_at_every_boundary_a_second_run_enrols_the_same_node() {
    is_continued(House::enrolling);
}

#[test]
fn killed_at_every_boundary_uninstalling_takes_the_enrolment_back() {
    is_taken_back(House::enrolling);
}

#[test]
fn an_uninstall_of_an_enrolled_node_killed_anywhere_is_continued_by_the_next() {
    uninstalling_is_continued(House::enrolling);
}
