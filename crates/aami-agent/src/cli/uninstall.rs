//! `aami-agent uninstall`.

use aami_api::client::Settings;
use aami_install::UninstallReport;
use aami_model::Exit;
use aami_plans::node::Unregisterer;
use clap::Args;
use serde_json::json;

use super::bootstrap::signals;
use super::failure::Failure;
use super::node::{Which, settings};
use super::screen;
use super::surroundings::Surroundings;

/// Take back everything that bootstrap changed on this machine, and its registration
#[derive(Debug, Args)]
pub(crate) struct Uninstall {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Leave the node as the control plane knows it
    #[arg(long)]
    keep_registration: bool,
    /// Retire the node at the control plane too; this is the default
    #[arg(long, conflicts_with = "keep_registration")]
    unregister: bool,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Uninstall {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        self.which.need_root()?;
        let enrolment = self.which.enrolment()?;
        let api = match &enrolment {
            Some(enrolment) => settings(&enrolment.server, enrolment.trust.clone(), &surroundings.proxies)?,
            None => Settings::new("http://127.0.0.1"),
        };
        let host = self.which.host()?;
        let node = self
            .which
            .look(enrolment, api.clone(), surroundings.proxies.clone())?;
        let unregisterer = Unregisterer { api };
        let installer = self
            .which
            .installer(&host, &node)?
            .cancelled_by(signals::cancel_on_signals()?);
        let report = installer.uninstall((!self.keep_registration).then_some(&unregisterer as _))?;
        self.show(&report);
        Ok(report.code().map_or(Exit::Ok, |code| code.exit))
    }

    fn show(&self, report: &UninstallReport) {
        if self.json {
            let failed: Vec<_> = report
                .failed
                .iter()
                .map(|failure| {
                    let (subject, code, message) = (&failure.subject, failure.code.symbol, &failure.message);
                    json!({ "subject": subject, "code": code, "message": message })
                })
                .collect();
            screen::json(&json!({
                "type": "uninstalled", "undone": report.undone, "kept": report.kept, "left": report.left,
                "failed": failed, "interrupted": report.interrupted,
            }));
            return;
        }
        for undone in &report.undone {
            screen::line(&format!("  taken back   {undone}"));
        }
        for kept in &report.kept {
            screen::line(&format!("  edit kept    {kept}"));
        }
        for left in &report.left {
            screen::line(&format!("  left         {left}"));
        }
        for failure in &report.failed {
            let hint = failure.code.hint;
            screen::line(&format!(
                "  not possible {}: {} ({hint})",
                failure.subject, failure.message
            ));
        }
        match (
            report.undone.is_empty(),
            report.failed.is_empty(),
            report.interrupted,
        ) {
            (_, _, true) => screen::line("Interrupted; run it again to continue."),
            (_, false, _) => screen::line("Not all of it could be taken back; what is left stays recorded."),
            (true, ..) => screen::line("There was nothing to take back."),
            (false, ..) => screen::line("This machine is as it was before AAMI."),
        }
    }
}
