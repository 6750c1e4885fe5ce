//! A server's installation that is called off, by Ctrl-C or a signal, in each of its steps.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aami_install::checkpoint::{Act, Watch};
use aami_install::doubles::CutOff;
use aami_install::executor::Verdict;
use aami_install::{Cancel, Mode};
use aami_model::{Exit, code};

use super::house::House;

/// Somebody who presses Ctrl-C before a change.
pub(crate) struct CallsOff {
    at: usize,
    seen: AtomicUsize,
    cancel: Cancel,
}

impl CallsOff {
    pub(crate) fn at(at: usize, cancel: &Cancel) -> Arc<Self> {
        Arc::new(Self {
            at,
            seen: AtomicUsize::new(0),
            cancel: cancel.clone(),
        })
    }
}

impl Watch for CallsOff {
    fn at(&self, _: Act, _: &str) -> io::Result<()> {
        if self.seen.fetch_add(1, Ordering::SeqCst) == self.at {
            self.cancel.cancel();
        }
        Ok(())
    }
}

#[test]
fn called_off_in_any_step_it_says_how_far_it_came_and_is_continued_or_taken_back() {
    for fresh in [House::new as fn() -> House, House::of_containers] {
        let undisturbed = fresh();
        let before = undisturbed.picture();
        let watch = Arc::new(CutOff::never());
        undisturbed.run(Mode::Fresh, Some(watch.clone())).unwrap();
        let wanted = undisturbed.picture();
        let mut steps = BTreeSet::new();
        // Some of the moments, in no step with what is done over and over.
        for (number, at) in (0..watch.passed().len()).step_by(13).enumerate() {
            // Given an installation that is called off before some change,
            let mut house = fresh();
            let (report, _) = house
                .run(Mode::Fresh, Some(CallsOff::at(at, &house.cancel)))
                .unwrap();
            let Some((failed, sentence)) = report.failure() else {
                // The last change was the last thing to be done.
                continue;
            };
            // then it ends as interrupted, and says where and how far it is,
            let story = format!("called off before change {at}: {sentence}");
            assert_eq!(
                (failed, report.exit()),
                (code::INTERRUPTED, Exit::Interrupted),
                "{story}"
            );
            let through = |step: &&_| matches!(step, Verdict::Ended(_));
            let through = report
                .steps
                .iter()
                .map(|step| &step.verdict)
                .filter(through)
                .count();
            let all = report.steps.len();
            assert!(
                sentence.contains(&format!("with {through} of {all} steps through")),
                "{story}"
            );
            let is_cut = |verdict: &Verdict| matches!(verdict, Verdict::Interrupted);
            if let Some(cut) = report.steps.iter().find(|step| is_cut(&step.verdict)) {
                assert!(sentence.contains(&format!("in the step {},", cut.id)), "{story}");
                steps.insert(cut.id.clone());
            }
            assert!(!house.status().is_healthy(), "{story}");
            // and either way is open.
            house.cancel = Cancel::new();
            if number % 2 == 0 {
                let (report, missing) = house.run(Mode::Resume, None).unwrap();
                assert_eq!((report.failure(), missing), (None, Vec::new()), "{story}");
                house.picture().must_be(&wanted, &story);
            } else {
                assert_eq!(house.uninstall(true).report.left, Vec::<String>::new(), "{story}");
                house.picture().must_be(&before, &story);
            }
        }
        for step in ["download", "configure", "start_services", "bootstrap_token"] {
            assert!(steps.contains(step), "{step} was never called off: {steps:?}");
        }
    }
}
