//! The folder rules lie in, and the note that lies with them: whose they are, which files are ours, and what was there
//! while a change is under way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use aami_model::rule_file::{self, RuleFile};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::RulesError;
use crate::whole_file;

/// What the note is called. Prometheus reads `*.yaml`, and not this.
pub const NOTE: &str = ".aami-rules.json";
/// The form of the note that is written, and the only one that is read.
const VERSION: u32 = 1;
/// Everybody may read rules.
const MODE: u32 = 0o644;
/// No note is longer: all files twice, as text.
const LONGEST: u64 = 96 * 1024 * 1024;

/// Whose rules these are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Owner {
    /// A configuration's, by its file.
    Configuration {
        /// Where it lies.
        file: PathBuf,
        /// Its cluster.
        cluster: String,
    },
    /// A control plane's, on its own machine, by the id of the Prometheus it keeps.
    Server {
        /// The id.
        prometheus: String,
    },
    /// A control plane's, brought by a node's agent.
    Agent {
        /// The id of the Prometheus.
        prometheus: String,
        /// Where that answers here, for whoever takes the rules away again.
        address: String,
    },
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Configuration { file, .. } => write!(f, "the configuration {}", file.display()),
            Self::Server { prometheus } => {
                write!(
                    f,
                    "the control plane on this machine, for its Prometheus {prometheus}"
                )
            }
            Self::Agent { prometheus, .. } => {
                write!(
                    f,
                    "the control plane this node is enrolled with, for its Prometheus {prometheus}"
                )
            }
        }
    }
}

/// Whose rules are in a folder; nobody's where there is none, or no note.
pub fn owner_of(folder: &Path) -> Result<Option<Owner>, RulesError> {
    Ok(read(&folder.join(NOTE))?.and_then(|note| note.owner))
}

/// Gives a folder up that holds no rules of ours any more: its note goes, and whoever comes next takes it over. A folder
/// with rules keeps its note.
pub fn forget(folder: &Path) -> Result<(), RulesError> {
    let note = folder.join(NOTE);
    let _held = whole_file::hold(&note)?;
    match read(&note)? {
        Some(there) if there.files.is_empty() && there.before.is_none() => gone(&note),
        _ => Ok(()),
    }
}

/// The document of the note.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    version: u32,
    /// Whose rules these are; nobody's yet where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<Owner>,
    /// The files that are ours.
    files: BTreeSet<String>,
    /// What was there, while a change is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Before>,
}

/// What every version begins with.
#[derive(Deserialize)]
struct Head {
    version: u32,
}

/// Our files as they were before a change, each in Base64: somebody may have written anything into them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Before {
    owner: Option<Owner>,
    files: BTreeMap<String, String>,
}

/// A folder with its note.
pub(super) struct Folder {
    path: PathBuf,
    note: Note,
}

impl Folder {
    /// The folder as it is; none where there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, RulesError> {
        if matches!(path.try_exists(), Ok(false)) {
            return Ok(None);
        }
        Self::open(path).map(Some)
    }

    /// The folder as it is.
    pub(super) fn open(path: &Path) -> Result<Self, RulesError> {
        Ok(Self {
            path: path.to_owned(),
            note: read(&path.join(NOTE))?.unwrap_or_default(),
        })
    }

    /// Refuses where the rules are another's. A folder without a note is whose comes first, unless files of a declared
    /// fleet are in it: earlier programs noted nothing, and those are a configuration's alone to take over.
    pub(super) fn own(&self, ours: &Owner, follows: &dyn Fn(&Owner) -> bool) -> Result<(), RulesError> {
        match &self.note.owner {
            Some(owner) if owner != ours && !follows(owner) => Err(RulesError::Elsewhere {
                folder: self.path.clone(),
                owner: owner.to_string(),
                ours: ours.to_string(),
                note: self.path.join(NOTE),
            }),
            Some(_) => Ok(()),
            None => match self.unnoted(ours)? {
                None => Ok(()),
                Some(file) => Err(RulesError::Unnoted {
                    folder: self.path.clone(),
                    file,
                    ours: ours.to_string(),
                }),
            },
        }
    }

    /// A file of a declared fleet's that is not noted, where `ours` is nobody who may claim it.
    fn unnoted(&self, ours: &Owner) -> Result<Option<String>, RulesError> {
        if claims(ours) {
            return Ok(None);
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(RulesError::file(&self.path, "read"))? {
            let entry = entry.map_err(RulesError::file(&self.path, "read"))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.retain(|name| rule_file::is_of_a_fleet(name) && !self.note.files.contains(name));
        Ok(names.into_iter().min())
    }

    /// Whether rules are here that are this owner's.
    pub(super) fn is_used_by(&self, ours: &Owner, follows: &dyn Fn(&Owner) -> bool) -> bool {
        let is_theirs = |owner: &Owner| owner == ours || follows(owner);
        self.note.owner.as_ref().is_some_and(is_theirs) && !self.note.files.is_empty()
    }

    /// Whether a file is one that we made.
    fn is_ours(&self, owner: &Owner, name: &str) -> bool {
        self.note.files.contains(name) || (claims(owner) && rule_file::is_of_a_fleet(name))
    }

    /// Goes back to what was there before a change that somebody began and did not end. Whoever holds the folder is alone
    /// in it, so drafts of files are nobody's any more.
    pub(super) fn recover(&mut self) -> Result<(), RulesError> {
        for entry in fs::read_dir(&self.path)
            .map_err(RulesError::file(&self.path, "read"))?
            .flatten()
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            if whole_file::is_draft(&name, "aami-") || whole_file::is_draft(&name, NOTE) {
                gone(&entry.path())?;
            }
        }
        match self.note.before.clone() {
            Some(before) => self.restore(&before),
            None => Ok(()),
        }
    }

    /// Our files as they are.
    pub(super) fn before(&self, owner: &Owner) -> Result<Before, RulesError> {
        let unreadable = || RulesError::file(&self.path, "read");
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(&self.path).map_err(unreadable())? {
            let entry = entry.map_err(unreadable())?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if self.is_ours(owner, &name) && entry.file_type().map_err(unreadable())?.is_file() {
                let bytes = read_bounded(&entry.path())?;
                files.insert(name, BASE64.encode(&bytes));
            }
        }
        Ok(Before {
            owner: self.note.owner.clone(),
            files,
        })
    }

    /// Notes that a change begins, and what was there.
    pub(super) fn begin(
        &mut self,
        owner: &Owner,
        before: &Before,
        files: &[RuleFile],
    ) -> Result<(), RulesError> {
        let names = files.iter().map(|file| file.name.clone());
        self.write(Note {
            version: VERSION,
            owner: Some(owner.clone()),
            files: before.files.keys().cloned().chain(names).collect(),
            before: Some(before.clone()),
        })
    }

    /// Puts the files into the folder, and takes out those of ours that are no longer wanted.
    pub(super) fn place(&self, before: &Before, files: &[RuleFile]) -> Result<(), RulesError> {
        for file in files {
            put(&self.path.join(&file.name), file.text.as_bytes())?;
        }
        for name in before.files.keys() {
            if !files.iter().any(|file| file.name == *name) {
                gone(&self.path.join(name))?;
            }
        }
        Ok(())
    }

    /// The folder as it was: what is new goes, what went or changed comes back, and the change is over.
    pub(super) fn restore(&mut self, before: &Before) -> Result<(), RulesError> {
        for (name, text) in &before.files {
            if !is_plain(name) {
                continue;
            }
            let bytes = BASE64.decode(text.as_bytes()).map_err(|error| RulesError::Note {
                note: self.path.join(NOTE),
                why: format!("what it holds of {name} is damaged: {error}"),
            })?;
            put(&self.path.join(name), &bytes)?;
        }
        for name in &self.note.files {
            if is_plain(name) && !before.files.contains_key(name) {
                gone(&self.path.join(name))?;
            }
        }
        self.write(Note {
            version: VERSION,
            owner: before.owner.clone(),
            files: before.files.keys().cloned().collect(),
            before: None,
        })
    }

    /// The change is over, and these files are what there is.
    pub(super) fn end(&mut self, owner: &Owner, names: Vec<String>) -> Result<(), RulesError> {
        self.write(Note {
            version: VERSION,
            owner: Some(owner.clone()),
            files: names.into_iter().collect(),
            before: None,
        })
    }

    /// What is otherwise than these files, if anything.
    pub(super) fn differs(&self, owner: &Owner, files: &[RuleFile]) -> Result<Option<String>, RulesError> {
        if self.note.before.is_some() {
            return Ok(Some("a change of the rules was not ended".to_owned()));
        }
        if self.note.owner.as_ref() != Some(owner) {
            return Ok(Some("the rules were not placed yet".to_owned()));
        }
        let there = self.before(owner)?.files;
        for file in files {
            if there.get(&file.name) != Some(&BASE64.encode(file.text.as_bytes())) {
                return Ok(Some(format!("{} is otherwise than it should be", file.name)));
            }
        }
        let stale = (there.keys()).find(|name| !files.iter().any(|file| file.name == **name));
        Ok(stale.map(|name| format!("{name} is there and should not be")))
    }

    fn write(&mut self, note: Note) -> Result<(), RulesError> {
        let path = self.path.join(NOTE);
        let text = serde_json::to_vec_pretty(&note).map_err(io::Error::other);
        text.and_then(|text| whole_file::replace(&path, &text, MODE))
            .map_err(RulesError::file(&path, "written"))?;
        self.note = note;
        Ok(())
    }
}

/// Whether files that are named as a declared fleet's are this owner's where nobody noted whose they are.
const fn claims(owner: &Owner) -> bool {
    match owner {
        Owner::Configuration { .. } => true,
        Owner::Server { .. } | Owner::Agent { .. } => false,
    }
}

/// Whether a name leads nowhere else. The note may have been written by hand.
fn is_plain(name: &str) -> bool {
    !name.contains('/') && name.starts_with("aami-") && name.ends_with(".yaml")
}

/// The note; none where there is no file.
fn read(path: &Path) -> Result<Option<Note>, RulesError> {
    let bytes = match read_bounded(path) {
        Ok(bytes) => bytes,
        Err(RulesError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let unusable = |why: String| RulesError::Note {
        note: path.to_owned(),
        why,
    };
    // The version before anything else: a newer note may look otherwise.
    let head: Head = serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))?;
    if head.version != VERSION {
        let known = format!(
            "it is of version {}, and this program knows {VERSION}",
            head.version
        );
        return Err(unusable(known));
    }
    let note = serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))?;
    Ok(Some(note))
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, RulesError> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LONGEST {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("it is longer than {LONGEST} bytes"),
            ));
        }
        Ok(bytes)
    };
    read().map_err(RulesError::file(path, "read"))
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), RulesError> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    whole_file::replace(path, bytes, MODE).map_err(RulesError::file(path, "written"))
}

fn gone(path: &Path) -> Result<(), RulesError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(RulesError::file(path, "removed")(error))
        }
        _ => Ok(()),
    }
}
