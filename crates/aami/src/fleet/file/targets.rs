//! What is installed where, and the lists Prometheus reads of it.
//!
//! What was installed is noted in `/var/lib/aami/fleet.json`; address and labels are taken from the configuration
//! whenever lists are written. So a label that was changed arrives, and a node that was removed leaves.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aami_config::Config;
use aami_model::code;
use aami_model::exporter::Exporter;
use aami_model::hostname::Hostname;
use aami_monitor::file_sd;
use serde::{Deserialize, Serialize};

use super::FileFleet;
use super::write;
use crate::cli::failure::Failure;
use crate::cli::secret::written;
use crate::fleet::{Fleet as _, Installed};

/// What was installed, on this machine's disk.
const NOTE: &str = "/var/lib/aami/fleet.json";
/// Where Prometheus looks for its lists.
const TARGETS: &str = "/var/lib/aami/targets";

/// The document of the note.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    version: u32,
    /// The exporters of each node, by its name.
    nodes: BTreeMap<String, Vec<Exporter>>,
    /// This machine's own, which no configuration names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    here: Option<Here>,
}

/// This machine.
#[derive(Debug, Serialize, Deserialize)]
struct Here {
    name: Hostname,
    exporters: Vec<Exporter>,
}

/// Notes what was installed, and writes the lists.
pub(super) fn note(fleet: &FileFleet, installed: &[Installed]) -> Result<(), Failure> {
    if installed.is_empty() {
        return Ok(());
    }
    let path = fleet.place().path(NOTE);
    make_folder(&path)?;
    let held = write::hold(&path)?;
    let mut note = read(&path)?.unwrap_or_default();
    for node in installed {
        note.nodes.insert(node.name.clone(), node.exporters.clone());
    }
    keep(&path, &mut note)?;
    let lists = lists(fleet, fleet.read()?.config(), &note);
    drop(held);
    lists
}

impl FileFleet {
    /// Lists this machine's own exporters, unless the configuration declares it as a node.
    pub(crate) fn list_here(&self, name: Hostname, exporters: Vec<Exporter>) -> Result<(), Failure> {
        let path = self.place().path(NOTE);
        make_folder(&path)?;
        let _held = write::hold(&path)?;
        let mut note = read(&path)?.unwrap_or_default();
        note.here = Some(Here { name, exporters });
        keep(&path, &mut note)?;
        lists(self, self.read()?.config(), &note)
    }
}

/// Writes the lists again by what the configuration says now; nothing where nothing was installed yet.
pub(super) fn refresh(fleet: &FileFleet, config: &Config) -> Result<(), Failure> {
    let path = fleet.place().path(NOTE);
    if !path.exists() {
        return Ok(());
    }
    let _held = write::hold(&path)?;
    let Some(mut note) = read(&path)? else {
        return Ok(());
    };
    let before = note.nodes.len();
    note.nodes.retain(|name, _| config.node(name).is_some());
    if note.nodes.len() != before {
        keep(&path, &mut note)?;
    }
    lists(fleet, config, &note)
}

fn read(path: &Path) -> Result<Option<Note>, Failure> {
    match fs::read(path) {
        // One that is not ours any more is begun anew: installing again fills it.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Failure::File {
            path: path.to_owned(),
            doing: "read",
            source,
        }),
    }
}

fn keep(path: &Path, note: &mut Note) -> Result<(), Failure> {
    note.version = 1;
    let text = serde_json::to_vec_pretty(note).map_err(|error| written(path)(io::Error::other(error)))?;
    write::replace(path, &text, 0o644)
}

fn make_folder(file: &Path) -> Result<PathBuf, Failure> {
    let folder = file.parent().unwrap_or(file).to_owned();
    fs::create_dir_all(&folder).map_err(written(&folder))?;
    Ok(folder)
}

/// A list of every kind, also an empty one: that is how what is gone leaves.
fn lists(fleet: &FileFleet, config: &Config, note: &Note) -> Result<(), Failure> {
    let mut nodes: Vec<file_sd::Node> = (config.nodes.iter())
        .filter_map(|node| {
            let exporters = note.nodes.get(node.name.as_str())?;
            Some(file_sd::Node {
                name: node.name.clone(),
                address: node.ip,
                exporters: exporters.clone(),
                // The configuration was checked by the same rules.
                labels: node.labels.clone().try_into().unwrap_or_default(),
            })
        })
        .collect();
    // One that is declared as well is reached as that says.
    if let Some(here) = note
        .here
        .as_ref()
        .filter(|here| config.node(here.name.as_str()).is_none())
    {
        nodes.push(file_sd::Node {
            name: here.name.clone(),
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            exporters: here.exporters.clone(),
            labels: file_sd::TargetLabels::default(),
        });
    }
    let files = file_sd::render(&config.cluster.name, &nodes)
        .map_err(|error| Failure::found(code::INVALID, format!("the lists for Prometheus: {error}")))?;
    let folder = fleet.place().path(TARGETS);
    for file in files {
        let path = folder.join(file.name);
        make_folder(&path)?;
        // Prometheus reads a file again when it changed.
        if fs::read(&path).is_ok_and(|there| there == file.text.as_bytes()) {
            continue;
        }
        write::replace(&path, file.text.as_bytes(), 0o644)?;
    }
    Ok(())
}
