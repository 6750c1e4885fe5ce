//! Looking without changing: `--dry-run` and `--status`. Neither takes the lock nor writes anything.

use aami_model::run::StepStatus;
use serde::Serialize;

use super::{InstallError, Installer};
use crate::context::Survey;
use crate::effect::{Described, Effect, Standing};
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
                    match self.planned(step.as_ref(), survey, true) {
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

    /// The effects of a step that are due, with or without those that only follow others.
    fn planned(
        &self,
        step: &dyn Step,
        survey: Survey<'_>,
        following: bool,
    ) -> Result<Vec<PlannedEffect>, StepError> {
        let signature = crate::effect::Signature::of(&self.id);
        let effects = step.desired(&survey)?;
        let effects: Vec<Effect> = effects.iter().map(|effect| effect.sealed(&signature)).collect();
        let standings = survey.stand(&effects)?;
        Ok(effects
            .iter()
            .zip(standings)
            .filter_map(|(effect, standing)| match standing {
                Standing::Due(due) if following || !due.follows => Some(PlannedEffect {
                    effect: effect.describe(),
                    because: due.because,
                }),
                _ => None,
            })
            .collect())
    }

    /// How the plan stands, step by step. Changes nothing and takes no lock.
    pub fn status(self) -> Result<StatusReport, InstallError> {
        let stream = Stream::new(self.host.clock.clone(), Vec::new());
        let shared = self.shared(self.ledger()?, &stream);
        let survey = Survey::new(&shared);
        let remembered = |id: &str| shared.ledger().state().steps.get(id).cloned().unwrap_or_default();
        let steps = self.plan.steps().iter().map(|step| {
            let standing = standing(step.as_ref(), survey);
            let amiss = match standing {
                StepStanding::Missing(_) => self.planned(step.as_ref(), survey, false).unwrap_or_default(),
                _ => Vec::new(),
            };
            StepStatusReport {
                id: step.id().to_owned(),
                title: step.title(),
                remembered: remembered(step.id()),
                standing,
                amiss,
            }
        });
        let steps = steps.collect();
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

fn standing(step: &dyn Step, survey: Survey<'_>) -> StepStanding {
    match super::work::probe(step, survey) {
        Ok(Probe::Holds) => StepStanding::Holds,
        Ok(Probe::Missing(why)) => StepStanding::Missing(why),
        Ok(Probe::NotApplicable(why)) => StepStanding::NotApplicable(why),
        Err(error) => StepStanding::Unknown(error.to_string()),
    }
}
