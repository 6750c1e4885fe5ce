//! Step 6: the program that stays on the node, and the checks it runs each minute.
//!
//! `aami-agent` is left on the host: it shows the node's status, takes everything back, and runs checks in a unit
//! with a timer, or from cron where there is no systemd.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use aami_install::effect::{Placement, UnitState};
use aami_install::{
    Content, Digest, Effect, Fetch, Host, HostPath, Mark, Owner, Probe, Step, StepContext, StepError, Survey,
    Voice,
};
use aami_model::code;
use aami_model::run::StepOutcome;

use super::super::check_units::{self, SERVICE, TIMER};
use super::super::session::Session;
use super::super::{Form, Purpose, check, installed, proxy_file};
use super::needs;
use crate::place::{account, host_path, missing_parents};

/// Where people's shells look for it.
const LINK: &str = "/usr/local/bin/aami-agent";
/// What the node starts with granting: what only root can see, by the agent's own hand.
const RULES: &str = "\
# What this node grants to checks. A check runs as the user aami-check; as root only where it stands here: by
# `builtin:` (the agent's own), by `name:` with the `sha256:` of its definition, or signed by one of the keys
# (`id:`, `public_key:` of 32 bytes in base64). `aami-agent checks list` shows what is refused and why.
checks:
  root:
    - builtin: disk_smart
  keys: []
";

/// Step 6.
pub(super) struct Checks(pub(super) Arc<Session>);

impl Checks {
    fn effects(&self, survey: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        let host = survey.host();
        let Some(agent) = self.0.agent(host)? else {
            return Ok(Vec::new());
        };
        let (mut effects, program) = self.program(host, &agent)?;
        if !agent.checks {
            return Ok(effects);
        }
        effects.extend(account(check::USER)?);
        effects.extend(self.files(survey)?);
        if host.units.is_some() {
            effects.extend(units(&program)?);
        } else if let Some(folder) = host_path("/etc/cron.d").ok().filter(|path| is_folder(host, path)) {
            let line = host_path(&format!("{folder}/aami-checks"))?;
            effects.push(owned(
                line,
                &check_units::cron(program.as_str()),
                0o644,
                Mark::Hash,
            ));
        }
        Ok(effects)
    }

    /// The agent itself, and where it is.
    fn program(&self, host: &Host, agent: &installed::Agent) -> Result<(Vec<Effect>, HostPath), StepError> {
        let owner = Some(Owner::root());
        let programs = &self.0.layout.programs;
        let folder = host_path(&format!("{programs}/aami-agent-{}", agent.version))?;
        let program = host_path(&format!("{folder}/aami-agent"))?;
        let link = host_path(LINK)?;
        let mut effects = Vec::new();
        effects.extend(installed::effects(
            &self.0.layout,
            installed::AGENT,
            agent,
            owner.as_ref(),
        )?);
        for path in missing_parents(host, programs)?
            .into_iter()
            .chain([programs.clone(), folder])
            .chain(missing_parents(host, &link)?)
        {
            effects.push(Effect::directory(path, 0o755, owner.clone()));
        }
        let sha256: Option<Digest> = agent.sha256.parse().ok();
        let from = Arc::new(Copy {
            program: self.0.options.agent.clone(),
        });
        let content = Content::fetched(format!("aami-agent {}", agent.version), sha256, from);
        effects.push(Effect::binary(program.clone(), content, owner));
        effects.push(Effect::link(link, program.as_str()));
        Ok((effects, program))
    }

    /// What a round reads and writes. It changes in use, so that any content of it is right.
    fn files(&self, survey: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        let in_use = |path: &str, text: &str, mode: u32| -> Result<Effect, StepError> {
            let content = Content::bytes(text);
            let placement = Placement::new(host_path(path)?, content, mode, Some(Owner::root()));
            Ok(Effect::WriteFile(placement.changing_in_use()))
        };
        let folder = host_path("/var/lib/aami/checks")?;
        let mut effects = Vec::new();
        for path in missing_parents(survey.host(), &folder)? {
            effects.push(Effect::directory(path, 0o755, Some(Owner::root())));
        }
        // They are node_exporter's, where it is ours; one that was here before brings none, or has its own, which
        // others may write to.
        for path in ["/var/lib/node_exporter", "/var/lib/node_exporter/textfile"] {
            effects.push(Effect::directory_where_absent(
                host_path(path)?,
                0o755,
                Some(Owner::root()),
            ));
        }
        effects.extend([
            Effect::directory(folder, 0o700, Some(Owner::root())),
            in_use("/var/lib/aami/checks/checks.json", "{}\n", 0o600)?,
            in_use("/var/lib/node_exporter/textfile/aami_checks.prom", "", 0o644)?,
            Effect::directory(host_path("/etc/aami")?, 0o755, Some(Owner::root())),
            Effect::WriteFile(
                Placement::new(
                    host_path("/etc/aami/agent.yaml")?,
                    Content::bytes(RULES),
                    0o644,
                    Some(Owner::root()),
                )
                .for_the_operator(),
            ),
        ]);
        let path = host_path(proxy_file::PATH)?;
        let given =
            proxy_file::text(&self.0.options.proxies).filter(|_| self.0.options.purpose == Purpose::Install);
        match given {
            Some(text) => effects.push(owned(path, &text, 0o600, Mark::Hash)),
            // Whoever installs again from another shell has not said that the proxy is gone.
            None => {
                let kept = in_use(proxy_file::PATH, "", 0o600)?;
                if survey.record(&kept.key()).is_some() {
                    effects.push(kept);
                }
            }
        }
        Ok(effects)
    }
}

fn owned(path: HostPath, text: &str, mode: u32, mark: Mark) -> Effect {
    let placement = Placement::new(path, Content::bytes(text), mode, Some(Owner::root()));
    Effect::WriteFile(placement.marked(mark))
}

fn is_folder(host: &Host, path: &HostPath) -> bool {
    host.root.list(path).is_ok_and(|found| found.is_some())
}

fn timer_file() -> Result<HostPath, StepError> {
    host_path(&format!("/etc/systemd/system/{TIMER}"))
}

fn timer_state() -> Result<UnitState, StepError> {
    Ok(UnitState::up(TIMER, [timer_file()?]))
}

fn units(program: &HostPath) -> Result<Vec<Effect>, StepError> {
    let service = host_path(&format!("/etc/systemd/system/{SERVICE}"))?;
    // Nothing to keep up, but a round that is at work is ended before its files go.
    let round = UnitState {
        unit: SERVICE.to_owned(),
        enabled: false,
        running: false,
        // It is loaded anew when its file changes.
        inputs: vec![service.clone()],
        anew: false,
    };
    Ok(vec![
        owned(
            service,
            &check_units::service(program.as_str()),
            0o644,
            Mark::Hash,
        ),
        owned(timer_file()?, &check_units::timer(), 0o644, Mark::Hash),
        Effect::UnitState(round),
        Effect::UnitState(timer_state()?),
    ])
}

impl Step for Checks {
    fn id(&self) -> &str {
        "checks"
    }

    fn title(&self) -> String {
        "Installing checks".to_owned()
    }

    fn needs(&self) -> Vec<String> {
        needs(&["node_exporter"])
    }

    fn desired(&self, survey: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        match self.0.options.form {
            Form::Host => self.effects(survey),
            Form::Foreground => Ok(Vec::new()),
        }
    }

    fn probe(&self, survey: &Survey<'_>) -> Result<Probe, StepError> {
        let desired = self.desired(survey)?;
        if desired.is_empty() {
            let textfile = &self.0.layout.textfile;
            return Ok(Probe::NotApplicable(format!(
                "checks need root; metrics placed in {textfile} are served by node_exporter"
            )));
        }
        survey.probe(&desired)
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        let outcome = context.perform(&self.desired(&context.survey())?)?;
        let checks = if self.0.options.skip_checks {
            "it runs no checks (--skip-checks)".to_owned()
        } else {
            format!(
                "it runs checks each minute as {}, see `aami-agent checks list`",
                check::USER
            )
        };
        context.note(format!("aami-agent is at {LINK}; {checks}"));
        Ok(outcome)
    }
}

/// Copies the program that runs now.
struct Copy {
    program: Option<PathBuf>,
}

impl Fetch for Copy {
    fn fetch(&self, voice: &Voice<'_>, into: &mut dyn Write) -> Result<(), StepError> {
        let failed = |error: std::io::Error| {
            StepError::new(
                code::STEP_FAILED,
                format!("this program's own file cannot be copied: {error}"),
            )
        };
        let program = self
            .program
            .as_ref()
            .ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
        let mut file = std::fs::File::open(program).map_err(failed)?;
        std::io::copy(&mut file, into).map_err(failed)?;
        voice.check()
    }
}

#[cfg(test)]
mod tests;
