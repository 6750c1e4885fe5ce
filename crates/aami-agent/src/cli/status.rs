//! `aami-agent status`.

use aami_api::client::Settings;
use aami_install::executor::{StatusReport, StepStanding};
use aami_model::Exit;
use clap::Args;

use super::failure::Failure;
use super::node::{Which, api_of};
use super::screen;
use super::surroundings::Surroundings;

/// Show how this node stands: what is installed, and whether the control plane reaches it
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) which: Which,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Status {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let enrolment = self.which.enrolment()?;
        let api = match &enrolment {
            Some(enrolment) => api_of(enrolment, &surroundings.proxies)?,
            // Nothing will be asked: a node that is not enrolled has nobody to ask.
            None => Some(Settings::new("http://127.0.0.1")),
        };
        let host = self.which.host()?;
        let node = self
            .which
            .look(enrolment.clone(), api, surroundings.proxies.clone())?;
        let report = self.which.installer(&host, &node)?.status()?;
        if self.json {
            screen::json(&report);
        } else {
            match &enrolment {
                Some(enrolment) => {
                    let how = enrolment.server.as_ref().map_or_else(
                        || "a node on its own, without a control plane".to_owned(),
                        |server| format!("enrolled with {server}"),
                    );
                    let (name, address) = (&enrolment.hostname, &enrolment.address);
                    screen::line(&format!("{name} ({address}), {how}"));
                }
                None => screen::line("This machine is not enrolled, or its files are not readable for you."),
            }
            show(&report);
        }
        Ok(if report.is_healthy() {
            Exit::Ok
        } else {
            Exit::NotHealthy
        })
    }
}

fn show(report: &StatusReport) {
    if let Some(holder) = &report.holder {
        let (pid, plan, since) = (holder.pid, &holder.plan, holder.started_at);
        screen::line(&format!(
            "An installer is at work: process {pid}, plan {plan}, since {since}"
        ));
    }
    for step in &report.steps {
        let (mark, why) = match &step.standing {
            StepStanding::Holds => ("ok", None),
            StepStanding::Missing(why) => ("missing", Some(why)),
            StepStanding::NotApplicable(why) => ("-", Some(why)),
            StepStanding::Unknown(why) => ("unknown", Some(why)),
        };
        let why = why.map_or_else(String::new, |why| format!("  ({why})"));
        screen::line(&format!("  {mark:<8} {:<16}{why}", step.id));
    }
    let rebuilt = if report.rebuilt {
        ", put together from marks"
    } else {
        ""
    };
    screen::line(&format!(
        "{} changes to this host are recorded{rebuilt}.",
        report.recorded
    ));
}
