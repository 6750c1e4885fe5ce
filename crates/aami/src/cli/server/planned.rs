//! What a run would do, shown before it does.

use std::collections::BTreeSet;

use aami_install::executor::{DryRun, StepStanding};
use aami_model::Exit;

use super::shown;
use crate::cli::failure::Failure;

/// Shows exactly what a run would do.
pub(super) fn show(dry: &DryRun, is_json: bool) -> Result<Exit, Failure> {
    if is_json {
        shown::json(dry);
        return Ok(Exit::Ok);
    }
    // A folder that two steps need is made by the first of them.
    let mut seen = BTreeSet::new();
    for (at, step) in dry.steps.iter().enumerate() {
        let standing = match &step.standing {
            StepStanding::Holds => "holds already".to_owned(),
            StepStanding::Missing(why) => why.clone(),
            StepStanding::NotApplicable(why) => format!("not done: {why}"),
            StepStanding::Unknown(why) => format!("cannot be told before it is its turn: {why}"),
        };
        shown::line(&format!(
            "[{}/{}] {}: {standing}",
            at + 1,
            dry.steps.len(),
            step.title
        ));
        for planned in &step.effects {
            if seen.insert(&planned.effect) {
                shown::line(&format!("      {}", planned.effect));
            }
        }
    }
    shown::line(&format!(
        "{} changes to this host. Nothing was changed.",
        seen.len()
    ));
    Ok(Exit::Ok)
}
