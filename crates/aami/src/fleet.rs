//! The fleet a command acts on: nodes that a file declares and SSH reaches, or nodes of a control plane.
//!
//! [`Fleet`] is what both can do; `file` and `api` are the two that do it. A command asks
//! `Common::fleet` for the one there is and never which of them it got. What one of them cannot do it
//! answers with a code ([`Fleet::plane`]: `NEEDS_CONTROL_PLANE`, [`Fleet::file`]: `NEEDS_FILE_FLEET`) that
//! names the way out. Which of them there is, [`mode`] decides, and says so on standard error.
//!
//! To add what a command needs of both: a method here, a file of the command's noun in `fleet/file/` and in
//! `fleet/api/`, and one delegating line in `fleet/file.rs` and `fleet/api.rs`.

pub(crate) mod alerts;
mod api;
pub(crate) mod diagnose;
pub(crate) mod diff;
pub(crate) mod engines;
mod file;
pub(crate) mod health;
mod member;
mod mode;
pub(crate) mod monitor;
mod place;
pub(crate) mod wanted;
pub(crate) mod ways;
mod which;

use std::sync::Arc;

use aami_model::code::{self, Code};
use aami_model::exporter::Exporter;
use aami_model::secret::Secret;

pub(crate) use api::{ApiFleet, alerts as rule_sets};
pub(crate) use file::{Applied, FileFleet, Remains, is_noted};
pub(crate) use member::{Listing, Member, NewNode};
pub(crate) use mode::{Decision, choose, decide};
pub(crate) use place::{Place, Settings, invalid};
pub(crate) use which::Which;

use crate::cli::each::Done;
use crate::cli::failure::Failure;
use crate::cli::screen::Screen;
use crate::cli::session::Session;

/// Nodes, and what can be done with them whichever way they are kept.
pub(crate) trait Fleet {
    /// What it is, for sentences: `the file fleet /etc/aami/config.yaml`, `the control plane https://...`.
    fn name(&self) -> String;

    /// Where the command's data and remarks go.
    fn screen(&mut self) -> &mut Screen;

    /// The control plane, for what only it can do. `command` is who asks, as it is typed.
    fn plane(&mut self, command: &str) -> Result<&mut Session, Failure>;

    /// The file fleet, for what only it can do. `command` is who asks, and `way` what does the same, or as much of it
    /// as makes sense, with a control plane: a sentence.
    fn file(&mut self, command: &str, way: &str) -> Result<&mut FileFleet, Failure>;

    /// Where files of this machine lie.
    fn place(&self) -> &Place;

    /// The operator's settings for SSH and for what runs beside: of the file, or what is usual where there is none.
    fn settings(&mut self) -> Result<Settings, Failure>;

    /// Declares nodes. A file takes all of them or none; a control plane is told one after the other. With `dry`
    /// they are judged as far as that can be done here, and nothing is kept.
    fn add(&mut self, nodes: &[NewNode], dry: bool) -> Result<Vec<Attempt>, Failure>;

    /// The nodes that fit, with everything that is known of them.
    fn list(&mut self, which: &Which) -> Result<Listing, Failure>;

    /// The nodes that fit, with the way to each by SSH, in natural order. A name nobody has is `NOT_FOUND`.
    fn members(&mut self, which: &Which) -> Result<Vec<Member>, Failure>;

    /// Who says what the agent on a node is told at its bootstrap.
    fn introducer(&self) -> Arc<dyn Introduce>;

    /// How it is, and what watches it.
    fn status(&mut self) -> Result<health::Health, Failure>;

    /// Has presets watched beside what is watched already, and sees that Prometheus loads the rules. Answers what an
    /// operator should know of it.
    fn apply_presets(&mut self, wanted: &alerts::PresetsWanted) -> Result<Vec<String>, Failure>;

    /// Every alert that is wanted, and what fires.
    fn alerts(&mut self) -> Result<alerts::Alerts, Failure>;

    /// The Alertmanager that tells people: that of the named Prometheus, where there are several.
    fn alertmanager(&mut self, prometheus: Option<&str>) -> Result<alerts::Alertmanager, Failure>;

    /// What it knows of one node, for a diagnosis. A node it does not know is one of which it knows that.
    fn subject(&mut self, node: &str, asked: &diagnose::Asked) -> Result<diagnose::Subject, Failure>;

    /// What is declared against what is applied; with `full`, what differs in texts.
    fn diff(&mut self, full: bool) -> Result<diff::Differences, Failure>;

    /// Notes what was installed where. The file fleet lists it for Prometheus; a control plane knows by itself.
    fn installed(&mut self, nodes: &[Installed]) -> Result<(), Failure>;
}

/// Says what the agent on a node is told at its bootstrap, when the node's turn has come, and hears that it went well.
/// It may ask and wait.
pub(crate) trait Introduce: Send + Sync {
    /// What this node is told. Fails with a code and a sentence.
    fn introduce(&self, node: &Member) -> Result<Introduction, (Code, String)>;

    /// Looks, before anything is installed, whether what was installed can be noted. There is nothing to note where a
    /// control plane knows by itself.
    fn ready(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// Notes one node, before anything calls it done. It may wait. Fails with a code and a sentence.
    fn installed(&self, _: Installed) -> Result<(), (Code, String)> {
        Ok(())
    }
}

/// What became of one of several things.
pub(crate) type Attempt = Result<Done, Failure>;

/// What a bootstrap on a node begins with.
#[derive(Debug, Clone)]
pub(crate) enum Introduction {
    /// There is nobody to register with: exporters alone.
    Alone,
    /// A control plane, and the token that enrols this node with it.
    Register {
        /// Its address, as nodes reach it.
        server: String,
        /// The pin of its key, where the system does not know who signed its certificate.
        pin: Option<String>,
        /// The token. It goes to the node by standard input, into a file of root's.
        token: Secret,
    },
}

/// A node on which an installation ended well, and what answers there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installed {
    /// Its name.
    pub(crate) name: String,
    /// Its exporters.
    pub(crate) exporters: Vec<Exporter>,
}

/// `command` needs a control plane, and there is none.
pub(crate) fn needs_control_plane(command: &str, fleet: &str) -> Failure {
    Failure::found(
        code::NEEDS_CONTROL_PLANE,
        format!("`{command}` needs a control plane, and this is {fleet}"),
    )
}

/// `command` needs a file fleet, and there is a control plane.
pub(crate) fn needs_file_fleet(command: &str, fleet: &str, hint: &str) -> Failure {
    Failure::found_with(
        code::NEEDS_FILE_FLEET,
        format!("`{command}` acts on the file fleet, and this is {fleet}"),
        hint,
    )
}
