//! What is installed where, and the lists Prometheus reads of it.
//!
//! What was installed is noted in `/var/lib/aami/fleet.json`; address and labels are taken from the configuration
//! whenever lists are written. So a label that was changed arrives, and a node that was removed leaves. The note says
//! whose nodes these are: another configuration's commands are refused and never empty the lists.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aami_config::Config;
use aami_model::code;
use aami_model::exporter::{Exporter, ExporterKind};
use aami_model::hostname::Hostname;
use aami_monitor::file_sd;
use serde::{Deserialize, Serialize};

use super::{FileFleet, declared, write};
use crate::cli::failure::Failure;
use crate::cli::secret::written;
use crate::fleet::{Installed, Place};

/// What was installed, on this machine's disk.
pub(super) const NOTE: &str = "/var/lib/aami/fleet.json";
/// Where Prometheus looks for its lists.
pub(super) const TARGETS: &str = "/var/lib/aami/targets";
/// The form of the note that is written, and the only one that is read.
const VERSION: u32 = 1;

/// The document of the note.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    version: u32,
    /// The configuration whose nodes these are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    config: Option<PathBuf>,
    /// The name of its cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    /// The exporters of each node, by its name.
    nodes: BTreeMap<String, Vec<Exporter>>,
    /// This machine's own, which no configuration names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    here: Option<Here>,
}

/// What every version begins with.
#[derive(Deserialize)]
struct Head {
    version: u32,
}

/// This machine.
#[derive(Debug, Serialize, Deserialize)]
struct Here {
    name: Hostname,
    exporters: Vec<Exporter>,
}

/// Notes what was installed, and writes the lists.
pub(super) fn note(place: &Place, installed: &[Installed]) -> Result<(), Failure> {
    if installed.is_empty() {
        return Ok(());
    }
    change(place, |note| {
        for node in installed {
            note.nodes.insert(node.name.clone(), node.exporters.clone());
        }
    })
}

impl FileFleet {
    /// Brings the lists to what the configuration says: somebody may have edited it by hand. Nothing where nothing was
    /// installed yet, or where the lists are another configuration's.
    pub(crate) fn lists_as_configured(&self) -> Result<(), Failure> {
        refresh(&self.place, self.read()?.config())
    }

    /// Lists this machine's own exporters, unless the configuration declares it as a node.
    pub(crate) fn list_here(&self, name: Hostname, exporters: Vec<Exporter>) -> Result<(), Failure> {
        change(&self.place, |note| note.here = Some(Here { name, exporters }))
    }
}

/// Changes the note and writes the lists, where they are this configuration's.
fn change(place: &Place, edit: impl FnOnce(&mut Note)) -> Result<(), Failure> {
    let path = place.path(NOTE);
    make_folder(&path)?;
    let _held = write::hold(&path)?;
    let settings = declared(place)?;
    let mut note = read(&path)?.unwrap_or_default();
    own(place, &note)?;
    edit(&mut note);
    keep(place, settings.config(), &mut note)?;
    lists(place, settings.config(), &note)
}

/// Whether this user can note something, in a note that is sound and this configuration's.
pub(super) fn ready(place: &Place) -> Result<(), Failure> {
    let path = place.path(NOTE);
    let look = || {
        make_folder(&path)?;
        make_folder(&place.path(TARGETS).join("list"))?;
        let _held = write::hold(&path)?;
        own(place, &read(&path)?.unwrap_or_default())
    };
    look().map_err(|failure| match failure {
        Failure::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            Failure::found_with(
                code::NOT_ROOT,
                format!(
                    "{} cannot be written by this user; nothing was installed",
                    path.display()
                ),
                "What is installed is noted there, for Prometheus' lists. Run the command as root, with sudo.",
            )
        }
        other => other,
    })
}

/// Whether there is a note, readable or not: then a file fleet's commands were at work here.
pub(crate) fn is_noted(place: &Place) -> bool {
    place.path(NOTE).exists()
}

/// The configuration whose nodes are noted: this one where the note follows it, none where no note names one.
pub(super) fn owner(place: &Place) -> Result<Option<PathBuf>, Failure> {
    let note = read(&place.path(NOTE))?.unwrap_or_default();
    let follows = own(place, &note).is_ok();
    Ok((note.config).map(|owner| if follows { named(place) } else { owner }))
}

/// Whether the note, where there is one, can be read.
pub(super) fn sound(place: &Place) -> Result<(), Failure> {
    read(&place.path(NOTE)).map(|_| ())
}

/// Writes the lists again by what the configuration says now; nothing where nothing was installed yet, or where the
/// lists are another configuration's.
pub(super) fn refresh(place: &Place, config: &Config) -> Result<(), Failure> {
    let path = place.path(NOTE);
    if !path.exists() {
        return Ok(());
    }
    let _held = write::hold(&path)?;
    let Some(mut note) = read(&path)? else {
        return Ok(());
    };
    // None of this configuration's nodes is in another's lists.
    if own(place, &note).is_err() {
        return Ok(());
    }
    let before = note.nodes.len();
    let known = config.by_name();
    note.nodes.retain(|name, _| known.node(name).is_some());
    if note.nodes.len() != before {
        keep(place, config, &mut note)?;
    }
    lists(place, config, &note)
}

/// The note; none where there is no file. One that cannot be read whole is never begun anew: what it said is known
/// nowhere else.
fn read(path: &Path) -> Result<Option<Note>, Failure> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(Failure::File {
                path: path.to_owned(),
                doing: "read",
                source,
            });
        }
    };
    let unusable = |why: String| {
        Failure::found_with(
            code::FLEET_INVALID,
            format!("{} cannot be used: {why}", path.display()),
            "It notes what is installed where. Bring it back from a backup, or use the program that wrote it; without \
             it, `aami nodes install --all` notes every node anew once it is moved away.",
        )
    };
    // The version before anything else: a newer note may look otherwise.
    let head: Head = serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))?;
    if head.version != VERSION {
        return Err(unusable(format!(
            "it is of version {}, and this program knows {VERSION}",
            head.version
        )));
    }
    let note = serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))?;
    Ok(Some(note))
}

/// Refuses where the lists are another configuration's. Notes of earlier programs name none, and one whose file is gone
/// was moved if the cluster is the same.
fn own(place: &Place, note: &Note) -> Result<(), Failure> {
    let Some(owner) = &note.config else {
        return Ok(());
    };
    if *owner == named(place) {
        return Ok(());
    }
    let gone = matches!(place.path(owner).try_exists(), Ok(false));
    if gone && note.cluster.as_deref() == Some(declared(place)?.config().cluster.name.as_str()) {
        return Ok(());
    }
    Err(Failure::found_with(
        code::CONFLICT,
        format!(
            "Prometheus' lists in {TARGETS} are those of the configuration {}, and this is {}",
            owner.display(),
            place.config.display()
        ),
        "Name that configuration with --config, or add the nodes to it: this machine's Prometheus watches one fleet.",
    ))
}

/// The configuration as every command names it, below the root.
pub(super) fn named(place: &Place) -> PathBuf {
    let whole = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (config, root) = (whole(&place.config), whole(&place.root));
    match config.strip_prefix(root) {
        Ok(inside) => Path::new("/").join(inside),
        Err(_) => config,
    }
}

fn keep(place: &Place, config: &Config, note: &mut Note) -> Result<(), Failure> {
    let path = place.path(NOTE);
    note.version = VERSION;
    note.config = Some(named(place));
    note.cluster = Some(config.cluster.name.clone());
    let text = serde_json::to_vec_pretty(note).map_err(|error| written(&path)(io::Error::other(error)))?;
    write::replace(&path, &text, 0o644)
}

fn make_folder(file: &Path) -> Result<PathBuf, Failure> {
    let folder = file.parent().unwrap_or(file).to_owned();
    fs::create_dir_all(&folder).map_err(written(&folder))?;
    Ok(folder)
}

/// What was installed where, by a sound note of this configuration's.
pub(super) struct Noted {
    /// Where the note lies.
    pub(super) path: PathBuf,
    /// The exporters of each node, by its name.
    pub(super) nodes: BTreeMap<String, Vec<Exporter>>,
    /// This machine, and its own exporters.
    pub(super) here: Option<(Hostname, Vec<Exporter>)>,
    /// The lists as they should be now, by where they lie.
    pub(super) lists: BTreeMap<PathBuf, String>,
}

/// What was installed where. Nothing is changed. Fails where the note cannot be read or is another configuration's.
pub(super) fn noted(place: &Place, config: &Config) -> Result<Noted, Failure> {
    let path = place.path(NOTE);
    let note = read(&path)?.unwrap_or_default();
    own(place, &note)?;
    let folder = place.path(TARGETS);
    let lists = texts(config, &note)?.into_iter();
    Ok(Noted {
        path,
        lists: lists.map(|file| (folder.join(file.name), file.text)).collect(),
        nodes: note.nodes,
        here: note.here.map(|here| (here.name, here.exporters)),
    })
}

/// Where the list of a kind lies.
pub(super) fn list_of(place: &Place, kind: ExporterKind) -> PathBuf {
    place.path(TARGETS).join(file_sd::file_name(kind))
}

/// A list of every kind, also an empty one: that is how what is gone leaves.
fn texts(config: &Config, note: &Note) -> Result<Vec<file_sd::TargetFile>, Failure> {
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
    file_sd::render(&config.cluster.name, &nodes)
        .map_err(|error| Failure::found(code::INVALID, format!("the lists for Prometheus: {error}")))
}

fn lists(place: &Place, config: &Config, note: &Note) -> Result<(), Failure> {
    let files = texts(config, note)?;
    let folder = place.path(TARGETS);
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
