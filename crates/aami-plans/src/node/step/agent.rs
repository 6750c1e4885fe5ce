//! The last step: the agent's daemon stays connected, where there is systemd. On a node without a control plane it
//! stays there as well, and serves what it finds to whoever scrapes the node.
//!
//! It needs the credential that the registration made, and it is not needed by anything: a node without it is
//! scraped all the same. It comes after the proof that the exporters are reached: a node whose agent is connected is
//! online, and that word shall not hide that nobody can scrape it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aami_install::effect::{Placement, UnitState};
use aami_install::root::Entry;
use aami_install::{
    Content, Effect, EffectError, Host, HostPath, Mark, Owner, Probe, Step, StepContext, StepError, Survey,
};
use aami_model::code;
use aami_model::run::StepOutcome;

use super::super::agent_unit::{UNIT, text};
use super::super::doors::Door;
use super::super::exporter::shown;
use super::super::layout::Layout;
use super::super::resident::{
    ASKED, METRICS_PORT, OUTCOME, RELEASE_KEY, REQUEST, SPOOL, STANDING, UPDATE_FOLDER, UPDATE_JOURNAL,
    forget_trial,
};
use super::super::session::Session;
use super::super::update_unit;
use super::super::{Purpose, installed, local, proxy_file};
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

/// Where the daemon serves its own metrics, unless it is told otherwise, and its unit tells it nothing.
const METRICS: ([u8; 4], u16) = ([127, 0, 0, 1], METRICS_PORT);
/// What stands in them whatever happened.
const ANSWERS: &str = "aami_agent_info{";
/// How long the daemon may take from its start to its first answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it is waited for its first connection: nodes that are switched on together do not come in one moment.
const SOON: Duration = Duration::from_secs(4);
/// Between two looks for it.
const LOOK: Duration = Duration::from_millis(100);
/// What stands in them while the control plane hears it.
const CONNECTED: &str = "\naami_agent_connected 1\n";
/// What stands in them while it stays away since the control plane said no.
const REFUSED: &str = "\naami_agent_refused 1\n";

/// No public key is longer.
const LARGEST_KEY: u64 = 4096;

fn key_path() -> Result<HostPath, StepError> {
    HostPath::new(RELEASE_KEY).map_err(|error| StepError::new(code::STEP_FAILED, error.to_string()))
}

/// Whether two files of minisign hold one key, whatever they say about it.
fn is_same_key(one: &str, other: &str) -> bool {
    let key = |text: &str| {
        let lines = text.lines().map(str::trim);
        let mut keys = lines.filter(|line| !line.is_empty() && !line.starts_with("untrusted comment:"));
        keys.next().map(str::to_owned)
    };
    key(one) == key(other)
}

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
            // As it was installed, whatever would be today. Where the record of that is lost, the unit is there.
            Purpose::Look(_) => {
                let file = HostPath::new(format!("/etc/systemd/system/{UNIT}"));
                let file = file.map_err(|error| StepError::new(code::STEP_FAILED, error.to_string()))?;
                let entry = host.root.entry(&file).map_err(EffectError::from)?;
                survey.record(&unit(Vec::new()).key()).is_some() || entry != Entry::Absent
            }
            Purpose::Exporters { .. } | Purpose::Update(_) => {
                survey.record(&unit(Vec::new()).key()).is_some()
            }
        };
        if !is_wanted && matches!(session.options.purpose, Purpose::Update(_)) {
            // Nothing to do would look as if it were done.
            let message = format!(
                "{UNIT} was not installed here for the cluster {}",
                session.options.cluster
            );
            return Err(StepError::new(code::NODE_NOT_ENROLLED, message)
                .with_hint("`aami-agent bootstrap --repair` installs it."));
        }
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
        let unit_text = text(program.as_str(), &session.options.cluster, session.server());
        let content = Content::bytes(unit_text);
        let placement = Placement::new(file.clone(), content, 0o644, owner());
        effects.push(Effect::WriteFile(placement.marked(Mark::Hash)));
        // What replaces the agent: at boot, where that was cut off, and whenever the daemon starts it.
        let updater = path(&format!("/etc/systemd/system/{}", update_unit::UNIT))?;
        let content = Content::bytes(update_unit::text(
            program.as_str(),
            &session.options.cluster,
            layout.agent.as_str(),
        ));
        let placement = Placement::new(updater, content, 0o644, owner());
        effects.push(Effect::WriteFile(placement.marked(Mark::Hash)));
        // It is at work when this is its own doing, and shall not stop itself.
        if !matches!(session.options.purpose, Purpose::Update(_)) {
            effects.push(Effect::UnitState(UnitState {
                enabled: true,
                ..UnitState::down(update_unit::UNIT)
            }));
        }
        let state = UnitState::up(UNIT, inputs(file, program, layout)?);
        effects.push(Effect::UnitState(state.restarted(self.stays_away())));
        let door = agent.serves.and_then(|serves| serves.door);
        effects.extend(door.iter().flat_map(Door::effects));
        Ok(effects)
    }

    /// Whether the daemon stays away although it would be let in: the control plane refused it, and it asks rarely. A
    /// node that was retired, restored and enrolled again has the credential it had, so that no file says it.
    fn stays_away(&self) -> bool {
        if self.0.options.purpose != Purpose::Install || self.0.plane().is_none() {
            return false;
        }
        self.0.registered.get().is_some()
            || local::metrics(METRICS.into()).is_ok_and(|text| text.contains(REFUSED))
    }
}

/// What the daemon reads once, when it is started: another program, credential, control plane, certificate or proxy,
/// and it is started anew.
fn inputs(unit: HostPath, program: HostPath, layout: &Layout) -> Result<Vec<HostPath>, StepError> {
    let proxies = HostPath::new(proxy_file::PATH);
    let proxies = proxies.map_err(|error| StepError::new(code::STEP_FAILED, error.to_string()))?;
    let (credential, told, ca) = (&layout.credential, &layout.registration, &layout.ca);
    let note = installed::path(layout, installed::AGENT)?;
    Ok(vec![
        unit,
        program,
        credential.clone(),
        told.clone(),
        ca.clone(),
        note,
        proxies,
    ])
}

impl Agent {
    /// A trial that an earlier install left is nobody's; one that is under way is the updater's to end.
    fn end_abandoned_trial(&self, host: &Host) -> Result<(), StepError> {
        let root = host.root.path();
        let journal = root
            .join(UPDATE_FOLDER.trim_start_matches('/'))
            .join(UPDATE_JOURNAL);
        let is_under_way = std::fs::metadata(journal).is_ok_and(|journal| journal.len() > 0);
        let Some(units) = host.units.as_ref().filter(|_| !is_under_way) else {
            return Ok(());
        };
        let wrong = |error: String| StepError::new(code::STEP_FAILED, error);
        if forget_trial(root).map_err(|error| wrong(error.to_string()))? {
            units.reload().map_err(|error| wrong(error.to_string()))?;
        }
        Ok(())
    }

    /// Where the daemon of a node on its own answers on this host.
    fn near(&self, host: &Host) -> Result<Option<SocketAddr>, StepError> {
        let is_alone = self.0.plane().is_none() && host.units.is_some();
        let serves = self.0.agent(host)?.and_then(|agent| agent.serves);
        let port = serves.filter(|_| is_alone).map(|serves| serves.address.port());
        port.map(|port| self.0.near(port)).transpose()
    }

    /// Waits until it answers: nobody else would hear that it does not.
    fn wait(&self, context: &StepContext<'_>) -> Result<(), StepError> {
        let Some(near) = self.near(context.host())? else {
            return Ok(());
        };
        let clock = context.host().clock.as_ref();
        let answered = local::wait_for(clock, context.voice(), near, ANSWERS, PATIENCE)?;
        answered.map_err(|seen| {
            let message = format!("the agent did not answer within {} s: {seen}", PATIENCE.as_secs());
            StepError::new(code::UNIT_FAILED, message)
                .with_hint(format!("Read its log with `journalctl -u {UNIT}`."))
        })?;
        context.note(format!("{UNIT} runs, and answers at {}", shown(near)));
        let door = self.0.agent(context.host())?.and_then(|agent| agent.serves?.door);
        if let Some(door) = door {
            context.note(door.said());
        }
        Ok(())
    }

    /// Sees that it runs, and waits a moment for its word that it is connected. One that ended again is a failure,
    /// whatever its start said; one that is not connected yet goes on trying.
    fn see(&self, context: &StepContext<'_>, server: &str) -> Result<(), StepError> {
        let Some(units) = &context.host().units else {
            return Ok(());
        };
        let clock = context.host().clock.as_ref();
        let deadline = clock.elapsed() + SOON;
        loop {
            let unit = units
                .show(UNIT)
                .map_err(|error| StepError::new(code::UNIT_FAILED, error.to_string()))?;
            let is_late = clock.elapsed() >= deadline;
            let metrics = local::metrics(METRICS.into());
            if unit.is_active() && metrics.as_ref().is_ok_and(|text| text.contains(CONNECTED)) {
                context.note(format!("{UNIT} is active, and connected with {server}"));
                return Ok(());
            }
            if unit.is_active() && is_late {
                context.warn(format!(
                    "{UNIT} is active, and not connected with {server} yet; it goes on trying"
                ));
                return Ok(());
            }
            if is_late || unit.active_state == "failed" {
                let (state, why) = (&unit.active_state, units.journal(UNIT, 3).join(" | "));
                let message = format!("{UNIT} was started and is {state}; it said: {why}");
                return Err(StepError::new(code::UNIT_FAILED, message)
                    .with_hint(format!("Read its log with `journalctl -u {UNIT} -n 50`.")));
            }
            context.voice().check()?;
            clock.wait(LOOK);
        }
    }

    /// A key that is named beside another that is here already would be kept out without a word.
    fn judge_key(&self, host: &Host) -> Result<(), StepError> {
        let Some(named) = &self.0.options.release_key else {
            return Ok(());
        };
        let kept = host
            .root
            .read(&key_path()?, LARGEST_KEY)
            .map_err(|error| StepError::new(code::STEP_FAILED, error.to_string()))?;
        match kept {
            Some(kept) if !is_same_key(&String::from_utf8_lossy(&kept), named) => {
                let message =
                    format!("{RELEASE_KEY} holds another key than --release-key names, and is kept");
                Err(StepError::new(code::CONFLICT, message)
                    .with_hint("Place the new one there by your own means, if it is meant to change."))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Who signs releases. It is the operator's file: what a node believes once stays, whatever a control plane says
    /// later.
    fn release_key(&self, survey: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        let path = key_path()?;
        let placed = |text: &str| {
            let content = Content::bytes(text);
            let placement = Placement::new(path.clone(), content, 0o644, Some(Owner::root()));
            Effect::WriteFile(placement.for_the_operator())
        };
        if self.0.options.purpose == Purpose::Install
            && let Some(text) = self.0.release_key()?
        {
            let folder = path
                .parent()
                .map(|folder| Effect::directory(folder, 0o755, Some(Owner::root())));
            return Ok(folder.into_iter().chain([placed(&text)]).collect());
        }
        let kept = placed("");
        Ok(survey.record(&kept.key()).map(|_| kept).into_iter().collect())
    }
}

impl Step for Agent {
    fn id(&self) -> &str {
        "agent"
    }

    fn title(&self) -> String {
        match self.0.plane() {
            Some(_) => "Connecting the agent",
            None => "Starting the agent",
        }
        .to_owned()
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
            let why = match self.0.plane() {
                Some(_) => {
                    "no agent stays connected here; the control plane reaches the exporters all the same"
                }
                None => "no agent stays here; its exporters answer all the same",
            };
            return Ok(Probe::NotApplicable(why.to_owned()));
        }
        let probe = survey.probe(&desired)?;
        if probe == Probe::Holds
            && let Some(near) = self.near(survey.host())?
            && !local::metrics(near).is_ok_and(|text| text.contains(ANSWERS))
        {
            return Ok(Probe::Missing("it is installed and does not answer".to_owned()));
        }
        if probe == Probe::Holds {
            let _ = self.0.stays.set(UNIT);
        }
        Ok(probe)
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        self.end_abandoned_trial(context.host())?;
        self.judge_key(context.host())?;
        let outcome = context.perform(&self.desired(&context.survey())?)?;
        if let Some(why) = self.0.release_key_lost.get()
            && context
                .host()
                .root
                .read(&key_path()?, LARGEST_KEY)
                .is_ok_and(|key| key.is_none())
        {
            context.warn(format!(
                "who signs releases could not be asked ({why}), so this agent is not updated from afar; \
                 `aami-agent bootstrap --release-key FILE` says it"
            ));
        }
        match self.0.server() {
            Some(server) => self.see(context, server)?,
            None => self.wait(context)?,
        }
        let _ = self.0.stays.set(UNIT);
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Form;
    use super::*;

    #[test]
    fn it_is_started_anew_whatever_it_reads_at_its_start_changed() {
        let layout = Layout::of(Form::Host, "main").unwrap();
        let path = |text: &str| HostPath::new(text).unwrap();
        let program = path("/opt/aami/aami-agent-1.0.0/aami-agent");
        let unit = path("/etc/systemd/system/aami-agent.service");
        let text = text(program.as_str(), "main", None);
        let inputs = inputs(unit.clone(), program.clone(), &layout).unwrap();
        let read = text
            .lines()
            .filter_map(|line| line.strip_prefix("EnvironmentFile=-"))
            .map(path);
        let own = [&layout.credential, &layout.registration, &layout.ca].map(Clone::clone);
        for file in read.chain([unit, program]).chain(own) {
            assert!(inputs.contains(&file), "{file}");
        }
        assert!(inputs.contains(&path("/etc/aami/proxy.env")));
        assert!(inputs.contains(&path("/var/lib/aami/agent/aami-agent.json")));
    }

    #[test]
    fn a_key_is_the_same_whatever_its_comment_says() {
        let key = |comment: &str, key: &str| format!("untrusted comment: {comment}\n{key}\n");
        assert!(is_same_key(&key("a", "RWQx"), &key("b", "RWQx")));
        assert!(is_same_key("RWQx", &key("b", "RWQx\r")));
        assert!(!is_same_key(&key("a", "RWQx"), &key("a", "RWQy")));
        assert!(!is_same_key("", &key("a", "RWQy")));
    }
}
