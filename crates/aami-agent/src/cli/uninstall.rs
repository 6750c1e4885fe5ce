//! `aami-agent uninstall`.

use std::path::{Path, PathBuf};

use aami_api::client::Settings;
use aami_install::{UndoFailure, UninstallReport};
use aami_model::secret::{Secret, SecretKind};
use aami_model::{Exit, code};
use aami_plans::node::{Form, NOWHERE, UPDATE_UNIT, Unregisterer, forget_trial};
use clap::Args;
use serde_json::json;

use super::bootstrap::{read_secret, signals};
use super::failure::Failure;
use super::node::{Which, api_of, settings};
use super::screen;
use super::surroundings::Surroundings;
use crate::daemon::take_rules_back;

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
    /// The control plane's address, where it is another by now
    #[arg(long, value_name = "URL", conflicts_with = "keep_registration")]
    server: Option<String>,
    /// A file with an operator's key, or with the bootstrap token this node enrolled with, in place of the node's own
    /// credential
    #[arg(long, value_name = "FILE", conflicts_with = "keep_registration")]
    token_file: Option<PathBuf>,
    /// Show what would be taken back and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Never ask anything; this command asks nothing anyway
    #[arg(long)]
    unattended: bool,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What stays by design, whatever was installed.
const KEPT: [&str; 3] = [
    "exporters that were here before AAMI, and everything that was not made by it",
    "what the journal holds of our units",
    "the history that the control plane has of this node",
];

impl Uninstall {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        if !self.dry_run {
            self.which.need_root()?;
        }
        let secret = self.token_file.as_deref().map(speaks_for_us).transpose()?;
        let enrolment = self.which.enrolment()?;
        let known = enrolment
            .as_ref()
            .map(|enrolment| api_of(enrolment, &surroundings.proxies))
            .transpose()?;
        let trust = self.which.trust()?;
        let server = self
            .server
            .as_deref()
            .map(|server| server.trim_end_matches('/').to_owned());
        // Nobody is asked where there is nobody: a node on its own has no registration to take back, and one that was cut
        // off has its control plane on record.
        let api = match &server {
            Some(server) => settings(server, trust.clone(), &surroundings.proxies)?,
            None => known.clone().flatten().unwrap_or_else(|| Settings::new(NOWHERE)),
        };
        let host = self.which.host()?;
        let node = self.which.look(
            enrolment,
            known.unwrap_or(Some(api)),
            surroundings.proxies.clone(),
        )?;
        let installer = self.which.installer(&host, &node)?;
        if self.dry_run {
            self.show_plan(&installer.recorded()?);
            return Ok(Exit::Ok);
        }
        // Before anything is touched: who installs here now is not to be disturbed, nor to come in between.
        let held = installer.hold()?.for_good();
        if let (Form::Host, Some(units)) = (self.which.form(), &host.units) {
            // An update under way is in no receipt; whatever it did is taken back with the rest. Where there is no
            // such unit there is none to stop.
            let _ = units.stop(UPDATE_UNIT);
            let gone =
                forget_trial(host.root.path()).map_err(|error| Failure::file(self.which.root(), &error))?;
            if gone {
                units
                    .reload()
                    .map_err(|error| Failure::new(code::UNIT_FAILED, error.to_string()))?;
            }
        }
        let unregisterer = Unregisterer {
            trust,
            proxies: surroundings.proxies.clone(),
            server,
            secret,
        };
        let installer = installer
            .cancelled_by(signals::cancel_on_signals()?)
            .within(&held);
        let report = installer.uninstall((!self.keep_registration).then_some(&unregisterer as _))?;
        if report.code().is_none() {
            super::run::forget(&self.which)?;
            for why in take_rules_back(self.which.root()) {
                screen::warn(&format!("alert rules are left: {why}"), self.json);
            }
        }
        show(&report, self.json, "This machine is as it was before AAMI.");
        if !self.json && report.code().is_none() && !report.undone.is_empty() {
            for kept in KEPT {
                screen::line(&format!("  kept         {kept}"));
            }
        }
        Ok(report.code().map_or(Exit::Ok, |code| code.exit))
    }

    fn show_plan(&self, recorded: &[String]) {
        let stays = |key: &&String| self.keep_registration && key.starts_with("registration ");
        if self.json {
            let undo: Vec<&String> = recorded.iter().filter(|key| !stays(key)).collect();
            screen::json(&json!({ "type": "uninstall", "would_undo": undo, "kept": KEPT }));
            return;
        }
        for key in recorded {
            let verb = if stays(&key) {
                "would leave    "
            } else {
                "would take back"
            };
            screen::line(&format!("  {verb} {key}"));
        }
        for kept in KEPT {
            screen::line(&format!("  would keep      {kept}"));
        }
        screen::line(&format!(
            "{} things are recorded. Nothing was changed.",
            recorded.len()
        ));
    }
}

/// A secret that may take a node out: an operator's key, the token it enrolled with, or its own credential.
fn speaks_for_us(path: &Path) -> Result<Secret, Failure> {
    let secret = read_secret(path)?;
    match secret.kind() {
        SecretKind::ApiKey | SecretKind::BootstrapToken | SecretKind::NodeCredential => Ok(secret),
        other => Err(Failure::new(
            code::TOKEN_FOREIGN,
            format!(
                "{} holds {}, which takes no node out",
                path.display(),
                other.name()
            ),
        )),
    }
}

/// What was taken back, and what was not.
pub(crate) fn show(report: &UninstallReport, is_json: bool, well: &str) {
    if is_json {
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
            "traces": report.traces, "failed": failed, "interrupted": report.interrupted,
        }));
        return;
    }
    for undone in &report.undone {
        screen::line(&format!("  taken back   {undone}"));
    }
    for kept in &report.kept {
        screen::line(&format!("  edit kept    {kept}"));
    }
    for left in report.left.iter().chain(&report.traces) {
        screen::line(&format!("  left         {left}"));
    }
    for failure in &report.failed {
        let hint = &failure.hint;
        screen::line(&format!(
            "  not possible {}: {} ({hint})",
            failure.subject, failure.message
        ));
    }
    let stands = |failure: &UndoFailure| failure.subject.starts_with("registration ");
    if report.failed.iter().any(stands) {
        screen::line(
            "Nothing was taken back: the control plane may still have this node. Run this again when it answers; where it is on \
             record as a node, --token-file names a secret that may take it out. --keep-registration leaves it there.",
        );
        return;
    }
    match (
        report.undone.is_empty(),
        report.failed.is_empty(),
        report.interrupted,
    ) {
        (_, _, true) => screen::line("Interrupted; run it again to continue."),
        (_, false, _) => screen::line("Not all of it could be taken back; what is left stays recorded."),
        (true, ..) => screen::line("There was nothing to take back."),
        (false, ..) => screen::line(well),
    }
}
