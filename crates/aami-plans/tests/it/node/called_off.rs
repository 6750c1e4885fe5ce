//! A node's installation that is called off, by Ctrl-C or a signal, in each of its steps.

use std::collections::BTreeSet;
use std::sync::Arc;

use aami_install::doubles::CutOff;
use aami_install::executor::Verdict;
use aami_install::{Cancel, Mode};
use aami_model::{Exit, code};

use super::house::House;
use crate::stack::called_off::CallsOff;

#[test]
fn called_off_in_any_step_it_says_how_far_it_came_and_is_continued_or_taken_back() {
    let undisturbed = House::enrolling();
    let before = undisturbed.picture();
    let watch = Arc::new(CutOff::never());
    undisturbed.run(Mode::Fresh, Some(watch.clone())).unwrap();
    let (wanted, known) = (undisturbed.picture(), undisturbed.nodes());
    drop(undisturbed);
    let mut steps = BTreeSet::new();
    for (number, at) in (0..watch.passed().len()).step_by(7).enumerate() {
        // Given an installation that is called off before some change,
        let mut house = House::enrolling();
        let (report, _) = house
            .run(Mode::Fresh, Some(CallsOff::at(at, &house.cancel)))
            .unwrap();
        let Some((failed, sentence)) = report.failure() else {
            // The last change was the last thing to be done.
            continue;
        };
        // then it ends as interrupted, and says where,
        let story = format!("called off before change {at}: {sentence}");
        assert_eq!(
            (failed, report.exit()),
            (code::INTERRUPTED, Exit::Interrupted),
            "{story}"
        );
        let is_cut = |verdict: &Verdict| matches!(verdict, Verdict::Interrupted);
        if let Some(cut) = report.steps.iter().find(|step| is_cut(&step.verdict)) {
            assert!(sentence.contains(&format!("in the step {},", cut.id)), "{story}");
            steps.insert(cut.id.clone());
        }
        // and either way is open.
        house.cancel = Cancel::new();
        if number % 2 == 0 {
            let (report, _) = house.run(Mode::Resume, None).unwrap();
            assert_eq!(report.failure(), None, "{story}");
            house.picture().must_be(&wanted, &story);
            assert_eq!(house.nodes(), known, "{story}");
        } else {
            house.uninstall();
            house.picture().must_be(&before, &story);
            assert!(house.nodes().is_empty(), "{story}");
        }
    }
    for step in ["node_exporter", "gpu_exporter", "checks", "register", "agent"] {
        assert!(steps.contains(step), "{step} was never called off: {steps:?}");
    }
}
