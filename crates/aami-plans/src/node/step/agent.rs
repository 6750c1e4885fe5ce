//! The last step: the agent's daemon stays connected, where there is systemd.
//!
//! It needs the credential that the registration made, and it is not needed by anything: a node without it is
//! scraped all the same. It comes after the proof that the exporters are reached: a node whose agent is connected is
//! online, and that word shall not hide that nobody can scrape it.

use std::sync::Arc;

use aami_install::effect::{Placement, UnitState};
use aami_install::{Content, Effect, HostPath, Mark, Owner, Probe, Step, StepContext, StepError, Survey};
use aami_model::code;
use aami_model::run::StepOutcome;

use super::super::Purpose;
use super::super::agent_unit::{UNIT, text};
use super::super::resident::{
    ASKED, OUTCOME, RELEASE_KEY, REQUEST, SPOOL, STANDING, UPDATE_FOLDER, UPDATE_JOURNAL,
};
use super::super::session::Session;
use super::super::update_unit;
use super::needs;

/// What the daemon keeps in its folder. All of it changes in use and goes with the node.
const FILES: [&str; 6] = [
    "reports.jsonl",
    "memory.json",
    "commands.json",
    ASKED,
    REQUEST,
    STANDING,
];

/// The agent's daemon.
pub(super) struct Agent(pub(super) Arc<Session>);

impl Agent {
    fn effects(&self, survey: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        let (session, host) = (&self.0, survey.host());
        if host.units.is_none() {
            return Ok(Vec::new());
        }
        let unit = |inputs: Vec<HostPath>| Effect::UnitState(UnitState::up(UNIT, inputs));
        let is_wanted = match session.options.purpose {
            Purpose::Install => !session.options.skip_agent,
            // As it was installed, whatever would be today.
            Purpose::Look(_) | Purpose::Exporters { .. } | Purpose::Update(_) => {
                survey.record(&unit(Vec::new()).key()).is_some()
            }
        };
        let Some(agent) = session.agent(host)?.filter(|_| is_wanted) else {
            return Ok(Vec::new());
        };
        let path = |text: &str| {
            HostPath::new(text).map_err(|error| StepError::new(code::STEP_FAILED, error.to_string()))
        };
        let owner = || Some(Owner::root());
        let layout = &session.layout;
        let folder = path(&format!("{}/{SPOOL}", layout.agent))?;
        let mut effects = vec![Effect::directory(folder.clone(), 0o700, owner())];
        for name in FILES {
            let file = path(&format!("{folder}/{name}"))?;
            let placement = Placement::new(file, Content::bytes(""), 0o600, owner());
            effects.push(Effect::WriteFile(placement.changing_in_use()));
        }
        let folder = path(UPDATE_FOLDER)?;
        effects.push(Effect::directory(folder.clone(), 0o700, owner()));
        for name in [UPDATE_JOURNAL, OUTCOME] {
            let file = path(&format!("{folder}/{name}"))?;
            let placement = Placement::new(file, Content::bytes(""), 0o600, owner());
            effects.push(Effect::WriteFile(placement.changing_in_use()));
        }
        effects.extend(self.release_key(survey)?);
        let program = path(&format!(
            "{}/aami-agent-{}/aami-agent",
            layout.programs, agent.version
        ))?;
        let file = path(&format!("/etc/systemd/system/{UNIT}"))?;
        let content = Content::bytes(text(program.as_str()));
        let placement = Placement::new(file.clone(), content, 0o644, owner());
        effects.push(Effect::WriteFile(placement.marked(Mark::Hash)));
        // What replaces the agent: at boot, where that was cut off, and whenever the daemon starts it.
        let updater = path(&format!("/etc/systemd/system/{}", update_unit::UNIT))?;
        let content = Content::bytes(update_unit::text(program.as_str(), layout.agent.as_str()));
        let placement = Placement::new(updater.clone(), content, 0o644, owner());
        effects.push(Effect::WriteFile(placement.marked(Mark::Hash)));
        effects.push(Effect::UnitState(UnitState {
            unit: update_unit::UNIT.to_owned(),
            enabled: true,
            running: false,
            inputs: vec![updater],
        }));
        // Another program, credential or control plane: it is started anew.
        effects.push(unit(vec![
            file,
            program,
            layout.credential.clone(),
            layout.registration.clone(),
        ]));
        Ok(effects)
    }
}

impl Agent {
    /// Who signs releases. It is the operator's file: what a node believes once stays, whatever a control plane says
    /// later.
    fn release_key(&self, survey: &Survey<'_>) -> Result<Option<Effect>, StepError> {
        let path = HostPath::new(RELEASE_KEY)
            .map_err(|error| StepError::new(code::STEP_FAILED, error.to_string()))?;
        let placed = |text: &str| {
            let content = Content::bytes(text);
            let placement = Placement::new(path.clone(), content, 0o644, Some(Owner::root()));
            Effect::WriteFile(placement.for_the_operator())
        };
        if self.0.options.purpose == Purpose::Install
            && let Some(text) = self.0.release_key()?
        {
            return Ok(Some(placed(&text)));
        }
        let kept = placed("");
        Ok(survey.record(&kept.key()).is_some().then_some(kept))
    }
}

impl Step for Agent {
    fn id(&self) -> &str {
        "agent"
    }

    fn title(&self) -> String {
        "Connecting the agent".to_owned()
    }

    fn needs(&self) -> Vec<String> {
        needs(&["register", "checks", "verify"])
    }

    fn desired(&self, survey: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        self.effects(survey)
    }

    fn probe(&self, survey: &Survey<'_>) -> Result<Probe, StepError> {
        let desired = self.desired(survey)?;
        if desired.is_empty() {
            return Ok(Probe::NotApplicable(
                "no agent stays connected here; the control plane reaches the exporters all the same"
                    .to_owned(),
            ));
        }
        survey.probe(&desired)
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        let outcome = context.perform(&self.desired(&context.survey())?)?;
        context.note(format!("{UNIT} stays connected with {}", self.0.client.server()));
        Ok(outcome)
    }
}
