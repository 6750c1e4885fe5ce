//! A plan: a name and a graph of steps.

use std::collections::BTreeSet;

use aami_model::run::StepSummary;

use crate::step::Step;

/// Why steps do not make a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// An id is not `[a-z0-9_]+`.
    #[error("the step id {id:?} is not made of a-z, 0-9 and '_'")]
    BadId {
        /// Which.
        id: String,
    },
    /// Two steps have one id.
    #[error("the step {id} stands twice in the plan")]
    Twice {
        /// Which.
        id: String,
    },
    /// A need names no step that stands before it. Needs point backwards only, so there are no
    /// circles and the order written is an order that works.
    #[error("the step {id} needs {need}, which does not stand before it")]
    UnknownNeed {
        /// Whose need.
        id: String,
        /// What is needed.
        need: String,
    },
}

/// What is installed: named, and made of steps.
pub struct Plan {
    name: String,
    title: String,
    steps: Vec<Box<dyn Step>>,
    needs: Vec<Vec<usize>>,
}

impl Plan {
    /// `name` is the plan's folder (`node`), `title` what people read (`AAMI Node Bootstrap`);
    /// `steps` stand in the order people shall see.
    pub fn new(
        name: impl Into<String>,
        title: impl Into<String>,
        steps: Vec<Box<dyn Step>>,
    ) -> Result<Self, PlanError> {
        let mut seen = BTreeSet::new();
        let mut needs = Vec::with_capacity(steps.len());
        for (at, step) in steps.iter().enumerate() {
            let id = step.id().to_owned();
            if id.is_empty()
                || !id
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            {
                return Err(PlanError::BadId { id });
            }
            let position = |need: String| {
                let found = steps[..at].iter().position(|step| step.id() == need);
                found.ok_or(PlanError::UnknownNeed {
                    id: step.id().to_owned(),
                    need,
                })
            };
            needs.push(step.needs().into_iter().map(position).collect::<Result<_, _>>()?);
            if !seen.insert(id.clone()) {
                return Err(PlanError::Twice { id });
            }
        }
        Ok(Self {
            name: name.into(),
            title: title.into(),
            steps,
            needs,
        })
    }

    /// The name of its folder and in its events.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What people read.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Its steps, each after those it needs.
    pub fn steps(&self) -> &[Box<dyn Step>] {
        &self.steps
    }

    pub(crate) fn needs(&self, step: usize) -> &[usize] {
        &self.needs[step]
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| step.id())
    }

    /// Its steps as the first event of a run names them.
    pub fn summaries(&self) -> Vec<StepSummary> {
        self.steps
            .iter()
            .map(|step| StepSummary {
                id: step.id().to_owned(),
                title: step.title(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named(&'static str, &'static [&'static str]);

    impl Step for Named {
        fn id(&self) -> &str {
            self.0
        }
        fn title(&self) -> String {
            self.0.to_owned()
        }
        fn needs(&self) -> Vec<String> {
            self.1.iter().map(|need| (*need).to_owned()).collect()
        }
    }

    fn plan(steps: Vec<Named>) -> Result<Plan, PlanError> {
        Plan::new(
            "test",
            "Test",
            steps
                .into_iter()
                .map(|step| Box::new(step) as Box<dyn Step>)
                .collect(),
        )
    }

    #[test]
    fn needs_point_backwards_to_steps_that_exist() {
        assert!(plan(vec![Named("a", &[]), Named("b", &["a"])]).is_ok());
        let unknown = |id: &str, need: &str| {
            Some(PlanError::UnknownNeed {
                id: id.into(),
                need: need.into(),
            })
        };
        assert_eq!(
            plan(vec![Named("a", &["b"]), Named("b", &["a"])]).err(),
            unknown("a", "b")
        );
        assert_eq!(plan(vec![Named("a", &["a"])]).err(), unknown("a", "a"));
        assert_eq!(
            plan(vec![Named("a", &[]), Named("a", &[])]).err(),
            Some(PlanError::Twice { id: "a".into() })
        );
        assert_eq!(
            plan(vec![Named("A b", &[])]).err(),
            Some(PlanError::BadId { id: "A b".into() })
        );
    }
}
