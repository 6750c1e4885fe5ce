//! Looking without changing: `--dry-run` and `--status`. Neither takes the lock nor writes anything.

use aami_model::run::StepStatus;
use serde::Serialize;

use super::{InstallError, Installer};
use crate::context::Survey;
use crate::effect::{Described, Due, Effect, Standing};
use crate::lock::{self, Holder};
use crate::state::StepState;
use crate::step::{Probe, Step, StepError};
use crate::stream::Stream;

/// What a run would do now.
#[derive(Debug, Clone, Serialize)]
pub struct DryRun {
    /// The plan.
    pub plan: String,
    /// Its steps, in order.
    pub steps: Vec<PlannedStep>,
}

/// What a run would do for one step.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedStep {
    /// Its id.
    pub id: String,
    /// What people read.
    pub title: String,
    /// How it stands.
    #[serde(flatten)]
    pub standing: StepStanding,
    /// The effects that do not hold yet, in the order they would be brought about.
    pub effects: Vec<PlannedEffect>,
}

/// One effect that would be brought about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedEffect {
    /// What.
    #[serde(flatten)]
    pub effect: Described,
    /// Why it does not hold now.
    pub because: String,
}

/// How a step stands on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "standing", content = "reason", rename_all = "snake_case")]
pub enum StepStanding {
    /// It holds.
    Holds,
    /// It does not, and why.
    Missing(String),
    /// It has no meaning here, and why.
    NotApplicable(String),
    /// It could not be told, and why.
    Unknown(String),
}

/// How a plan stands on a host.
#[derive(Debug, Clone, Serialize)]
pub struct StatusReport {
    /// The plan.
    pub plan: String,
    /// The cluster.
    pub cluster: String,
    /// Who is at work on it now.
    pub holder: Option<Holder>,
    /// Each step: id, title, what the last run said, how it stands now.
    pub steps: Vec<StepStatusReport>,
    /// How many effects are recorded for undoing.
    pub recorded: usize,
    /// Whether the record was put together from marks, without the originals from before.
    pub rebuilt: bool,
}

/// How a step stands, and what is remembered of it.
#[derive(Debug, Clone, Serialize)]
pub struct StepStatusReport {
    /// Its id.
    pub id: String,
    /// What people read.
    pub title: String,
    /// What `state.json` says; pending where it says nothing.
    pub remembered: StepState,
    /// How it stands now.
    #[serde(flatten)]
    pub standing: StepStanding,
    /// Each effect that does not hold, and why. Not those that hold and would only be looked at again
    /// because something they read is mended.
    pub amiss: Vec<PlannedEffect>,
}

impl StatusReport {
    /// Whether every step holds, or does not apply.
    pub fn is_healthy(&self) -> bool {
        self.steps.iter().all(|step| {
            matches!(
                step.standing,
                StepStanding::Holds | StepStanding::NotApplicable(_)
            )
        })
    }

    /// How far the last run came, as one word.
    pub fn remembered(&self) -> StepStatus {
        let any = |status| self.steps.iter().any(|step| step.remembered.status == status);
        if any(StepStatus::Failed) {
            StepStatus::Failed
        } else if any(StepStatus::InProgress) {
            StepStatus::InProgress
        } else if any(StepStatus::Pending) {
            StepStatus::Pending
        } else {
            StepStatus::Completed
        }
    }
}

impl Installer<'_> {
    /// Exactly what a run would do now.
    pub fn dry_run(self) -> Result<DryRun, InstallError> {
        let stream = Stream::new(self.host.clock.clone(), Vec::new());
        let shared = self.shared(self.ledger()?, &stream);
        let survey = Survey::new(&shared);
        let steps = self.plan.steps().iter().map(|step| {
            let (standing, effects) = match standing(step.as_ref(), survey) {
                found @ (StepStanding::Missing(_) | StepStanding::Unknown(_)) => {
                    match self.planned(step.as_ref(), survey) {
                        Ok(effects) => (found, effects),
                        Err(error) => (StepStanding::Unknown(error.to_string()), Vec::new()),
                    }
                }
                found => (found, Vec::new()),
            };
            PlannedStep {
                id: step.id().to_owned(),
                title: step.title(),
                standing,
                effects,
            }
        });
        let steps = steps.collect();
        Ok(DryRun {
            plan: self.plan.name().to_owned(),
            steps,
        })
    }

    /// The effects of a step that are due, with those that only follow others.
    fn planned(&self, step: &dyn Step, survey: Survey<'_>) -> Result<Vec<PlannedEffect>, StepError> {
        let due = self.due(step, survey, &[])?;
        Ok(due.iter().map(|(effect, due)| planned(effect, due)).collect())
    }

    /// The effects of a step that are due, each with why, where `earlier` of the steps before it are due as well.
    fn due(
        &self,
        step: &dyn Step,
        survey: Survey<'_>,
        earlier: &[Effect],
    ) -> Result<Vec<(Effect, Due)>, StepError> {
        let signature = crate::effect::Signature::of(&self.id);
        let effects = step.desired(&survey)?;
        let effects: Vec<Effect> = effects.iter().map(|effect| effect.sealed(&signature)).collect();
        let standings = survey.stand_after(earlier, &effects)?;
        let due = effects.into_iter().zip(standings);
        Ok(due
            .filter_map(|(effect, standing)| match standing {
                Standing::Due(due) => Some((effect, due)),
                Standing::Holds => None,
            })
            .collect())
    }

    /// How the plan stands, step by step. Changes nothing and takes no lock.
    pub fn status(self) -> Result<StatusReport, InstallError> {
        let stream = Stream::new(self.host.clock.clone(), Vec::new());
        let shared = self.shared(self.ledger()?, &stream);
        let survey = Survey::new(&shared);
        let remembered = |id: &str| shared.ledger().state().steps.get(id).cloned().unwrap_or_default();
        let mut steps = Vec::new();
        // What the steps before have to mend.
        let mut earlier: Vec<Effect> = Vec::new();
        for step in self.plan.steps() {
            let mut standing = standing(step.as_ref(), survey);
            let mut amiss = Vec::new();
            if let StepStanding::Missing(why) = &standing {
                let due = self.due(step.as_ref(), survey, &earlier).unwrap_or_default();
                let (follows, own): (Vec<_>, Vec<_>) = due.iter().partition(|(_, due)| due.follows);
                // All that keeps this step from holding is what an earlier one mends.
                let is_named = |(effect, due): &&(Effect, Due)| is_why(why, effect, due);
                let only_follows = own.is_empty() && follows.iter().any(is_named);
                amiss = own.iter().map(|(effect, due)| planned(effect, due)).collect();
                earlier.extend(due.into_iter().map(|(effect, _)| effect));
                if only_follows {
                    standing = StepStanding::Holds;
                }
            }
            steps.push(StepStatusReport {
                id: step.id().to_owned(),
                title: step.title(),
                remembered: remembered(step.id()),
                standing,
                amiss,
            });
        }
        let ledger = shared.ledger();
        Ok(StatusReport {
            plan: self.id.plan.clone(),
            cluster: self.id.cluster.clone(),
            holder: lock::holder(self.host, self.options.tracking.lock()),
            steps,
            recorded: ledger.receipt().effects.len(),
            rebuilt: ledger.receipt().rebuilt,
        })
    }
}

fn planned(effect: &Effect, due: &Due) -> PlannedEffect {
    PlannedEffect {
        effect: effect.describe(),
        because: due.because.clone(),
    }
}

/// Whether a step is said to be missing because of this effect, in the words of [`Survey::probe`].
fn is_why(why: &str, effect: &Effect, due: &Due) -> bool {
    why == format!("{}: {}", effect.key(), due.because)
}

fn standing(step: &dyn Step, survey: Survey<'_>) -> StepStanding {
    match super::work::probe(step, survey) {
        Ok(Probe::Holds) => StepStanding::Holds,
        Ok(Probe::Missing(why)) => StepStanding::Missing(why),
        Ok(Probe::NotApplicable(why)) => StepStanding::NotApplicable(why),
        Err(error) => StepStanding::Unknown(error.to_string()),
    }
}
