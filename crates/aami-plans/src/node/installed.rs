//! What was installed, noted beside it: later looks go by this, whatever would be installed today.

use std::net::SocketAddr;

use aami_install::effect::Placement;
use aami_install::{Content, Effect, Host, HostPath, Owner, StepError};
use aami_model::code;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::doors::Door;
use super::exporter::Container;
use super::layout::Layout;
use crate::components::Component;

/// No note is longer.
const LONGEST: u64 = 256 * 1024;

/// An exporter that was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exporter {
    /// As the catalogue had it.
    pub(crate) component: Component,
    /// Where it serves.
    pub(crate) port: u16,
    /// What it was started with.
    pub(crate) arguments: Vec<String>,
    /// The container it runs in, where it is not a program of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) container: Option<Container>,
    /// What was opened for it in a firewall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) door: Option<Door>,
}

/// The program that stays on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Agent {
    /// Its version.
    pub(crate) version: String,
    /// Its SHA-256.
    pub(crate) sha256: String,
    /// Whether it runs checks here.
    #[serde(default = "yes")]
    pub(crate) checks: bool,
    /// Where others than this host read its metrics, where they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) serves: Option<Serves>,
}

/// Where the agent's metrics are served to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Serves {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What was opened for it in a firewall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) door: Option<Door>,
}

/// The name of the note of which exporters are wanted.
pub(crate) const EXPORTERS: &str = "exporters";
/// The names of our own notes.
const OURS: [&str; 5] = [EXPORTERS, AGENT, "all_smi", "dcgm_exporter", "node_exporter"];
/// What stands before the names of all others, which a site chooses.
const OTHERS: &str = "exporter-";

const fn yes() -> bool {
    true
}

/// The note about the agent.
pub(crate) const AGENT: &str = "aami-agent";

/// The note about the thing of this name, if there is one.
pub(crate) fn read<T: DeserializeOwned>(host: &Host, layout: &Layout, name: &str) -> Option<T> {
    let path = path(layout, name).ok()?;
    let bytes = host.root.read(&path, LONGEST).ok()??;
    serde_json::from_slice(&bytes).ok()
}

/// What writes the note, and the folder it lies in.
pub(crate) fn effects<T: Serialize>(
    layout: &Layout,
    name: &str,
    what: &T,
    owner: Option<&Owner>,
) -> Result<[Effect; 2], StepError> {
    let mut text = serde_json::to_vec_pretty(what)
        .map_err(|error| StepError::new(code::STEP_FAILED, format!("{name} cannot be noted: {error}")))?;
    text.push(b'\n');
    let placement = Placement::new(path(layout, name)?, Content::bytes(text), 0o600, owner.cloned());
    Ok([folder(layout, owner), Effect::WriteFile(placement)])
}

/// The folder of everything the node keeps to itself.
pub(crate) fn folder(layout: &Layout, owner: Option<&Owner>) -> Effect {
    Effect::directory(layout.agent.clone(), 0o700, owner.cloned())
}

/// The exporter that a file of the node's folder is the note of, if it may be one.
pub(crate) fn exporter_of(file: &str) -> Option<&str> {
    let name = file.strip_suffix(".json")?;
    match name.strip_prefix(OTHERS) {
        Some(other) => Some(other),
        None => OURS.contains(&name).then_some(name),
    }
}

/// Where the note about the thing of this name is.
pub(crate) fn path(layout: &Layout, name: &str) -> Result<HostPath, StepError> {
    // The control plane's answer and others of ours lie in the same folder.
    let before = if OURS.contains(&name) { "" } else { OTHERS };
    let path = layout.agent.join(&format!("{before}{name}.json"));
    path.map_err(|error| StepError::new(code::STEP_FAILED, error.to_string()))
}
