//! `aami server status`: each part, its unit and process, port, version and health.

use aami_install::executor::{StatusReport, StepStanding};
use aami_install::host::{Command, Ended};
use aami_install::{Host, Installer};
use aami_model::Exit;
use aami_plans::stack::{Note, Part, Runtime, Session, health};
use clap::Args;
use serde::Serialize;

use super::{build, options_for, shown};
use crate::cli::failure::Failure;
use crate::cli::output::Manner;
use crate::cli::paint::Paint;
use crate::cli::screen::{Format, Screen};
use crate::cli::surroundings::Surroundings;
use crate::cli::table::Table;

/// Show each part of the server on this machine: unit, process, port, version, health
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  aami server status
  aami server status --json

Ends with 0 when everything is as it was installed and answers, else with 3.")]
pub(crate) struct Status {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(super) manner: Manner,
}

/// One part as it stands.
#[derive(Serialize)]
struct Standing {
    part: &'static str,
    /// Its unit, or its container.
    runs_as: String,
    /// `active (running)`, `failed (exit-code)`, ...
    state: String,
    pid: Option<u32>,
    port: u16,
    version: Option<String>,
    /// `ok`, or why not.
    health: String,
}

impl Status {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let host = Host::system().map_err(Failure::Runtime)?;
        let (stack, note) = build::look(&host)?;
        let session = stack.session();
        let report = Installer::new(&host, stack.plan(), options_for(session.wishes()))?.status()?;
        let parts: Vec<Standing> = Part::ALL
            .into_iter()
            .filter(|part| session.wishes().wants(*part))
            .map(|part| standing(&host, session, note.as_ref(), part))
            .collect();
        let is_well = note.is_some() && report.is_healthy() && parts.iter().all(|part| part.health == "ok");
        if self.json {
            shown::json(&serde_json::json!({
                "type": "server_status", "healthy": is_well, "installed": note.is_some() && report.recorded > 0,
                "runtime": session.wishes().runtime.name(), "parts": parts, "install": report,
            }));
        } else {
            let mut screen = self.manner.screen(Format::Table, surroundings);
            show(&mut screen, &report, &parts, note.is_some())?;
        }
        Ok(if is_well { Exit::Ok } else { Exit::NotHealthy })
    }
}

fn standing(host: &Host, session: &Session, note: Option<&Note>, part: Part) -> Standing {
    let wishes = session.wishes();
    let (runs_as, state, pid) = match wishes.runtime {
        Runtime::Systemd => unit(host, part),
        Runtime::Compose => container(host, part),
    };
    let question = health::Question {
        part,
        url: format!("{}{}", wishes.near(part), part.health_path()),
    };
    let version = match part {
        Part::ControlPlane => Some(wishes.version.clone()),
        _ => note.and_then(|note| Some(note.installed.get(part.name())?.version.clone())),
    };
    Standing {
        part: part.title(),
        runs_as,
        state,
        pid,
        port: wishes.port(part),
        version,
        health: health::ask(&question).err().unwrap_or_else(|| "ok".to_owned()),
    }
}

fn unit(host: &Host, part: Part) -> (String, String, Option<u32>) {
    let name = part.unit().to_owned();
    let Some(unit) = host.units.as_ref().and_then(|units| units.show(part.unit()).ok()) else {
        return (name, "unknown".to_owned(), None);
    };
    let state = if !unit.exists() {
        "not installed".to_owned()
    } else if unit.is_masked() {
        "masked".to_owned()
    } else {
        format!("{} ({})", unit.active_state, unit.sub_state)
    };
    (name, state, Some(unit.main_pid).filter(|pid| *pid > 0))
}

fn container(host: &Host, part: Part) -> (String, String, Option<u32>) {
    let name = part.container().to_owned();
    let format = "--format={{.State.Status}} {{.State.Pid}}";
    let output = host
        .commands
        .as_ref()
        .and_then(|commands| {
            commands
                .run(&Command::look(["docker", "inspect", format, &name]))
                .ok()
        })
        .filter(|output| output.ended == Ended::Status(0));
    let Some(output) = output else {
        return (name, "not installed".to_owned(), None);
    };
    let text = output.text();
    let (state, pid) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    (name, state.to_owned(), pid.parse().ok().filter(|pid| *pid > 0))
}

fn show(
    screen: &mut Screen,
    report: &StatusReport,
    parts: &[Standing],
    is_noted: bool,
) -> Result<(), Failure> {
    if !is_noted {
        screen.note("aami: no server is installed on this machine");
    }
    if let Some(holder) = &report.holder {
        let (pid, plan, since) = (holder.pid, &holder.plan, holder.started_at);
        screen.note(&format!(
            "An installer is at work: process {pid}, plan {plan}, since {since}"
        ));
    }
    let mut table = Table::new(
        &["PART", "RUNS AS", "STATE", "PID", "PORT", "VERSION", "HEALTH"],
        "no parts",
    );
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for part in parts {
        table.row([
            part.part.to_owned(),
            part.runs_as.clone(),
            part.state.clone(),
            or_dash(part.pid.map(|pid| pid.to_string())),
            part.port.to_string(),
            or_dash(part.version.clone()),
            part.health.clone(),
        ]);
        let is_well = part.health == "ok";
        table.paint(6, Some(if is_well { Paint::Green } else { Paint::Red }));
    }
    screen.show("", |_| table)?;
    for step in &report.steps {
        let (mark, why) = match &step.standing {
            StepStanding::Holds | StepStanding::NotApplicable(_) => continue,
            StepStanding::Missing(why) => ("missing", why),
            StepStanding::Unknown(why) => ("unknown", why),
        };
        screen.write(&format!("  {mark:<8} {:<16}  ({why})\n", step.id))?;
    }
    let rebuilt = if report.rebuilt {
        ", put together from marks"
    } else {
        ""
    };
    screen.write(&format!(
        "{} changes to this host are recorded{rebuilt}.\n",
        report.recorded
    ))
}
