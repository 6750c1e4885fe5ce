//! Killed anywhere, an installation is continued by the same command, and taken back by uninstalling; under systemd and
//! in containers.

use aami_install::Mode;
use aami_install::doubles::at_each_moment;

use super::house::House;

/// Installs a server, and goes on from the host that a kill at each boundary leaves. Answers how many those are.
fn killed_at_each(fresh: fn() -> House, goes_on: impl Fn(House, &str)) -> usize {
    let house = fresh();
    let mut boundaries = 0;
    let (report, missing) = at_each_moment(
        |watch| house.run(Mode::Fresh, Some(watch)).unwrap(),
        |at, act, subject| {
            boundaries += 1;
            goes_on(house.copy(), &format!("killed at {at} {:?}", (act, subject)));
        },
    );
    assert_eq!((report.failure(), missing), (None, Vec::new()));
    boundaries
}

fn is_continued(fresh: fn() -> House) {
    // Given what an undisturbed run makes,
    let undisturbed = fresh();
    undisturbed.install();
    let wanted = undisturbed.picture();
    let boundaries = killed_at_each(fresh, |house, story| {
        // when a run that was killed is continued,
        let (report, missing) = house.run(Mode::Resume, None).unwrap();
        // then the host is the same.
        let story = format!("{story}, then continued");
        let failure = report.failure().map(|(code, why)| format!("{code}: {why}"));
        assert_eq!((failure, missing), (None, Vec::new()), "{story}");
        house.picture().must_be(&wanted, &story);
        // No token is on the host that the control plane did not make.
        assert!(*house.tokens.lock().unwrap() >= 1, "{story}");
    });
    assert!(boundaries > 250, "only {boundaries} boundaries");
}

fn is_taken_back(fresh: fn() -> House) {
    let before = fresh().picture();
    killed_at_each(fresh, |house, story| {
        let left = house.uninstall(true).report.left;
        let story = format!("{story}, then uninstalled");
        assert_eq!(left, Vec::<String>::new(), "{story}");
        house.picture().must_be(&before, &story);
    });
}

fn uninstalling_is_continued(fresh: fn() -> House) {
    let before = fresh().picture();
    let whole = fresh();
    whole.install();
    let mut boundaries = 0;
    at_each_moment(
        |watch| whole.undo(true, Some(watch)).unwrap(),
        |at, act, subject| {
            boundaries += 1;
            let house = whole.copy();
            house.uninstall(true);
            let story = format!("uninstall killed at {at} {:?}, then repeated", (act, subject));
            house.picture().must_be(&before, &story);
        },
    );
    whole.picture().must_be(&before, "installed, then uninstalled");
    assert!(boundaries > 150, "only {boundaries} boundaries");
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
fn killed_at_every_boundary_a_second_run_brings_the_same_containers_up() {
    is_continued(House::of_containers);
}

#[test]
fn killed_at_every_boundary_uninstalling_takes_the_containers_with_it() {
    is_taken_back(House::of_containers);
}

#[test]
fn an_uninstall_of_containers_killed_anywhere_is_continued_by_the_next() {
    uninstalling_is_continued(House::of_containers);
}
