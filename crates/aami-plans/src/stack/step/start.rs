//! Step 4: the control plane, the key Prometheus asks it with, and everything beside it.

use std::io::Write;
use std::sync::Arc;

use aami_install::effect::Placement;
use aami_install::receipt::Recorded;
use aami_install::{Content, Digest, Effect, Fetch, Step, StepContext, StepError, Survey, Voice};
use aami_model::run::StepOutcome;

use super::super::part::Part;
use super::super::place::owner;
use super::super::reload;
use super::super::service::Service;
use super::super::session::Session;
use super::super::wishes::Runtime;
use super::super::{compose, health};
use super::needs;

/// Where Prometheus' key is from, as its record says.
const ORIGIN: &str = "made by the control plane";
/// A key is one short line.
const LONGEST: u64 = 4096;

/// Step 4.
pub(super) struct StartServices(pub(super) Arc<Session>);

/// What has to hold, in the three strokes it is brought about.
struct Strokes {
    /// Until the control plane runs.
    first: Vec<Effect>,
    /// What needs its answer.
    key: Vec<Effect>,
    /// Everything else.
    rest: Vec<Effect>,
}

impl StartServices {
    fn strokes(&self, survey: &Survey<'_>) -> Result<Strokes, StepError> {
        let session = &self.0;
        let parts = session.parts()?;
        let key = if parts.contains(&Part::ControlPlane) && parts.contains(&Part::Prometheus) {
            vec![self.key(survey)?]
        } else {
            Vec::new()
        };
        if session.wishes().runtime == Runtime::Compose {
            let first = compose::effects(session, survey.host())?;
            return Ok(Strokes {
                first,
                key,
                rest: Vec::new(),
            });
        }
        let services = parts
            .into_iter()
            .map(|part| Service::of(session, part))
            .collect::<Result<Vec<_>, _>>()?;
        let mut first = Vec::new();
        let mut rest = Vec::new();
        for service in &services {
            let part = service.part;
            let into = if part == Part::ControlPlane {
                &mut first
            } else {
                &mut rest
            };
            into.push(service.unit_file(session.wishes().port(part))?);
        }
        for service in &services {
            let into = if service.part == Part::ControlPlane {
                &mut first
            } else {
                &mut rest
            };
            into.push(service.unit_state()?);
        }
        let has_prometheus = services.iter().any(|service| service.part == Part::Prometheus);
        if has_prometheus && reload::is_by_file(session.wishes()) {
            rest.extend(reload::effects(&session.layout)?);
        }
        Ok(Strokes { first, key, rest })
    }

    /// The key Prometheus asks with. One that the control plane refuses (it was revoked, or belongs to
    /// other data) is replaced: its successor's origin names it, so that the file is due.
    fn key(&self, survey: &Survey<'_>) -> Result<Effect, StepError> {
        let session = &self.0;
        let path = &session.layout.discovery_key;
        let file = |origin: String| {
            let content = Content::fetched(origin, None, Arc::new(MakeKey(session.clone())));
            let owner = Some(owner(Part::Prometheus));
            Effect::WriteFile(Placement::new(path.clone(), content, 0o600, owner))
        };
        let key = file(ORIGIN.to_owned()).key();
        let noted = survey.record(&key).and_then(|record| match record.effect {
            Recorded::WriteFile(file) => file.origin,
            _ => None,
        });
        let Some(noted) = noted else {
            return Ok(file(ORIGIN.to_owned()));
        };
        let held = survey
            .host()
            .root
            .read(path, LONGEST)
            .map_err(aami_install::EffectError::from)?;
        let Some(held) = held else {
            return Ok(file(noted));
        };
        let text = String::from_utf8_lossy(&held).trim().to_owned();
        // A question that is not answered is no news.
        let is_refused = matches!(session.options.control_plane.takes(&text), Ok(false));
        Ok(file(if is_refused {
            format!("{ORIGIN} in place of {:.12}", Digest::of(&held).to_string())
        } else {
            noted
        }))
    }
}

impl Step for StartServices {
    fn id(&self) -> &str {
        "start_services"
    }

    fn title(&self) -> String {
        "Starting services".to_owned()
    }

    fn needs(&self) -> Vec<String> {
        needs(&["configure"])
    }

    fn desired(&self, survey: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        let Strokes { first, key, rest } = self.strokes(survey)?;
        Ok(first.into_iter().chain(key).chain(rest).collect())
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        let session = &self.0;
        let Strokes { first, key, rest } = self.strokes(&context.survey())?;
        let mut outcomes = vec![context.perform(&first)?];
        if !key.is_empty() {
            health::wait(session, context.host(), context.voice(), Part::ControlPlane)?;
            // Asked again: what an answer was missing for before may be known now.
            outcomes.push(context.perform(&[self.key(&context.survey())?])?);
        }
        outcomes.push(context.perform(&rest)?);
        for part in session.parts()? {
            context.note(format!("{part} started"));
            if part == Part::Prometheus {
                let (component, _) = session.component(part.name(), session.options.arch)?;
                if let Some(why) = reload::never_hears(session.wishes(), &component.version) {
                    context.warn(why);
                }
            }
        }
        Ok(if outcomes.contains(&StepOutcome::Changed) {
            StepOutcome::Changed
        } else {
            StepOutcome::AlreadySo
        })
    }
}

struct MakeKey(Arc<Session>);

impl Fetch for MakeKey {
    fn fetch(&self, voice: &Voice<'_>, into: &mut dyn Write) -> Result<(), StepError> {
        let key = self.0.options.control_plane.discovery_key()?;
        super::token::write_line(into, &key)?;
        voice.check()
    }
}
