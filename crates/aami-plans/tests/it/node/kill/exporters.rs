//! An exporter that comes to a node or goes from it, killed anywhere.

use aami_install::doubles::at_each_moment;
use aami_plans::node::Change;

use super::super::house::House;

const ALL_SMI: &str = "all_smi";

/// A node of a control plane, on which `prepare` was done.
fn node(prepare: &[Change]) -> House {
    let house = House::enrolling();
    house.install();
    for change in prepare {
        house.change(change, None);
    }
    house
}

/// Makes a change on such a node, and goes on from the host that a kill at each boundary leaves: by the same command, and
/// by uninstalling.
fn is_continued_and_taken_back(prepare: &[Change], change: &Change) {
    let bare = House::enrolling();
    let before = bare.picture();
    drop(bare);
    // Given what an undisturbed change makes,
    let undisturbed = node(prepare);
    undisturbed.change(change, None);
    let (wanted, known) = (undisturbed.picture(), undisturbed.nodes());
    drop(undisturbed);
    let house = node(prepare);
    let mut boundaries = 0;
    let taken = at_each_moment(
        |watch| house.change(change, Some(watch)),
        |at, act, subject| {
            boundaries += 1;
            let story = format!("{change:?} killed at {at} {:?}", (act, subject));
            // when a change that was killed is made again,
            let again = house.copy();
            again.change(change, None);
            // then the host is the same, and so is what the control plane knows;
            again.picture().must_be(&wanted, &format!("{story}, then again"));
            assert_eq!(again.nodes(), known, "{story}, then again");
            drop(again);
            // and taking the node back leaves nothing of it.
            let gone = house.copy();
            gone.uninstall();
            gone.picture()
                .must_be(&before, &format!("{story}, then uninstalled"));
            assert!(gone.nodes().is_empty(), "{story}, then uninstalled");
        },
    );
    assert!(taken.failed.is_empty(), "{:#?}", taken.failed);
    house.picture().must_be(&wanted, "looked at while it went on");
    assert!(boundaries > 40, "only {boundaries} boundaries");
}

#[test]
fn an_exporter_that_is_installed() {
    is_continued_and_taken_back(&[], &Change::Add(ALL_SMI.to_owned()));
}

#[test]
fn an_exporter_that_is_removed() {
    let add = Change::Add(ALL_SMI.to_owned());
    is_continued_and_taken_back(&[add], &Change::Remove(ALL_SMI.to_owned()));
}

#[test]
fn an_exporter_of_the_hardware_that_is_removed() {
    is_continued_and_taken_back(&[], &Change::Remove("dcgm_exporter".to_owned()));
}
