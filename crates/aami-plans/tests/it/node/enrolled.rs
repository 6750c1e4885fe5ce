//! A node of a control plane: what enrols it, and what no longer stops it once it is.

use aami_install::Mode;
use aami_install::executor::Verdict;
use aami_model::code;

use super::house::House;

#[test]
fn a_machine_is_enrolled_once_and_taken_out_of_the_control_plane_with_the_rest() {
    // Given a machine and a control plane,
    let house = House::enrolling();
    let before = house.picture();
    // when it enrols, then the control plane has it with what it serves, and its agent runs;
    house.install();
    assert_eq!(house.nodes(), [("node-1".to_owned(), vec![9100, 9400])]);
    assert!(house.running().iter().any(|unit| unit == "aami-agent.service"));
    // once more changes nothing, there or here;
    let installed = house.picture();
    let (report, _) = house.install();
    assert!(!report.wrote, "{:?}", report.executed);
    house.picture().must_be(&installed, "a second run");
    assert_eq!(house.nodes().len(), 1);
    // and taking it back takes it out there as well.
    house.uninstall();
    assert!(house.nodes().is_empty());
    house.picture().must_be(&before, "uninstalled");
}

#[test]
fn an_address_that_may_not_be_registered_stops_a_machine_before_anything_is_changed() {
    let house = House::enrolling();
    let before = house.picture();
    house.refuse_its_address();
    let report = house.run(Mode::Fresh, None).unwrap().0;
    let (failed, why) = report.failure().expect("its address is refused");
    assert_eq!(failed, code::ADDRESS_REFUSED, "{why}");
    house.picture().must_be(&before, "refused");
    assert!(house.nodes().is_empty());
}

#[test]
fn an_enrolled_node_whose_address_is_refused_now_goes_on_and_says_so() {
    // Given an enrolled node whose address is refused by now, and on which something is broken,
    let house = House::enrolling();
    house.install();
    let (installed, known) = (house.picture(), house.nodes());
    house.refuse_its_address();
    house.lose("opt/aami");
    // when it is mended,
    let report = house.run(Mode::Repair, None).unwrap().0;
    // then that is done all the same,
    let failure = report.failure().map(|(code, why)| format!("{code}: {why}"));
    assert_eq!(failure, None);
    house.picture().must_be(&installed, "mended");
    assert_eq!(house.nodes(), known);
    // the step of the token was gone through,
    let step = report.steps.iter().find(|step| step.id == "validate_token");
    assert!(
        step.is_some_and(|step| matches!(step.verdict, Verdict::Ended(_))),
        "{step:?}"
    );
    // and that it is refused stands in the log of the run, with what comes of it.
    let log = house.read("var/lib/aami/install/default/node/log");
    let said = log
        .lines()
        .rfind(|line| line.contains("goes on without it"))
        .expect("nobody is told why");
    assert!(said.contains("validate_token"), "{said}");
}
