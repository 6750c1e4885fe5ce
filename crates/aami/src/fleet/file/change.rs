//! Changing the configuration: read, edited, read again, and only then written, by one writer at a time.

use std::collections::BTreeMap;
use std::net::IpAddr;

use aami_config::document::EditError;
use aami_config::{Config, Document, NewNode};
use aami_model::code;
use aami_model::hostname::Hostname;
use aami_model::nodeset::NodeSet;

use super::write;
use super::{FileFleet, Settings};
use crate::cli::failure::Failure;
use crate::fleet::invalid;

/// The file may hold passwords.
const MODE: u32 = 0o600;

impl FileFleet {
    /// Makes a change to the configuration and answers what it says then. `edit` changes the text; where what comes
    /// out is no sound configuration, or somebody wrote in between, nothing is written.
    pub(crate) fn change(
        &self,
        edit: impl FnOnce(&mut Document, &Settings) -> Result<(), EditError>,
    ) -> Result<Settings, Failure> {
        apply(self, |settings| self.edited(settings, edit))
    }

    /// What the configuration would say after a change.
    pub(crate) fn edited(
        &self,
        settings: &Settings,
        edit: impl FnOnce(&mut Document, &Settings) -> Result<(), EditError>,
    ) -> Result<Settings, Failure> {
        let path = &self.place.config;
        let mut document = Document::parse(&settings.bytes).map_err(|problems| invalid(path, &problems))?;
        edit(&mut document, settings).map_err(|error| refused(self, &error))?;
        self.place.parse(document.text().as_bytes().to_vec())
    }
}

fn refused(fleet: &FileFleet, error: &EditError) -> Failure {
    let path = fleet.place.config.display();
    match error {
        EditError::Text(problems) => invalid(&fleet.place.config, problems),
        EditError::NotThere(_) => Failure::found_with(
            code::NOT_FOUND,
            format!("{path}: {error}"),
            "`aami config show --sources` tells what is written, and `aami nodes list` which nodes there are.",
        ),
        EditError::UnknownField { .. } | EditError::ByHand { .. } | EditError::NotReadBack => {
            Failure::found_with(
                code::FLEET_INVALID,
                format!("{path}: {error}"),
                "Make the change in the file by hand; it is read as a whole by the next command.",
            )
        }
    }
}

/// Reads, changes and writes the configuration while nobody else of us does.
pub(super) fn apply(
    fleet: &FileFleet,
    edit: impl FnOnce(&Settings) -> Result<Settings, Failure>,
) -> Result<Settings, Failure> {
    let _held = write::hold(&fleet.place.config)?;
    let before = fleet.read()?;
    let after = edit(&before)?;
    put(fleet, &before, &after)?;
    Ok(after)
}

/// Writes the configuration that was read as `before`; whoever calls holds it.
pub(super) fn put(fleet: &FileFleet, before: &Settings, after: &Settings) -> Result<(), Failure> {
    if after.bytes == before.bytes {
        return Ok(());
    }
    let path = &fleet.place.config;
    // An editor heeds no lock.
    if std::fs::read(path).ok().as_deref() != Some(before.bytes.as_slice()) {
        return Err(Failure::found(
            code::FLEET_CHANGED,
            format!("{} was changed meanwhile", path.display()),
        ));
    }
    write::replace(path, &after.bytes, MODE)
}

/// Refuses nodes whose name or address is taken, by the configuration or by each other. Every one is told.
pub(super) fn not_declared(config: &Config, nodes: &[NewNode]) -> Result<(), Failure> {
    let mut names: BTreeMap<&Hostname, String> = BTreeMap::new();
    let mut addresses: BTreeMap<IpAddr, String> = BTreeMap::new();
    for node in &config.nodes {
        names.insert(&node.name, format!("the node with {}", node.ip));
        addresses.insert(node.ip.to_canonical(), node.name.to_string());
    }
    let mut places = Vec::new();
    for node in nodes {
        if let Some(other) = names.insert(&node.name, format!("the node with {}", node.ip)) {
            places.push(format!("{}: the name is that of {other} already", node.name));
        }
        if let Some(other) = addresses.insert(node.ip.to_canonical(), node.name.to_string())
            && other != node.name.as_str()
        {
            places.push(format!(
                "{}: {} is the address of {other} already",
                node.name, node.ip
            ));
        }
    }
    if places.is_empty() {
        return Ok(());
    }
    if let [place] = places.as_slice() {
        return Err(Failure::found(code::NODE_DECLARED, place.clone()));
    }
    Err(Failure::Listed {
        code: code::NODE_DECLARED,
        sentence: format!("{} names or addresses are taken; nothing was added", places.len()),
        places,
    })
}

/// The configuration with these nodes.
pub(super) fn with_added(
    fleet: &FileFleet,
    settings: &Settings,
    nodes: &[NewNode],
) -> Result<Settings, Failure> {
    fleet.edited(settings, |document, _| document.add_nodes(nodes))
}

/// The configuration without these nodes.
pub(super) fn without(fleet: &FileFleet, settings: &Settings, names: &NodeSet) -> Result<Settings, Failure> {
    let gone: Vec<Hostname> = (settings.config().nodes.iter())
        .filter(|node| names.contains(node.name.as_str()))
        .map(|node| node.name.clone())
        .collect();
    let edited = fleet.place.with_environment(|environment| {
        let mut document = Document::parse(&settings.bytes).map_err(EditError::from)?;
        document.remove_nodes(&gone, environment)?;
        Ok(document)
    });
    let document = edited.map_err(|error: EditError| refused(fleet, &error))?;
    fleet.place.parse(document.text().as_bytes().to_vec())
}
