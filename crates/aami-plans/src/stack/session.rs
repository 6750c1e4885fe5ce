//! What the steps of one run of the stack plan know together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aami_install::{Content, StepError};
use aami_inventory::Arch;
use aami_model::code;

use super::first_keys::FirstToken;
use super::layout::Layout;
use super::part::Part;
use super::wishes::{Note, Wishes};
use super::{Purpose, StackOptions, fetch};
use crate::components::{Build, Catalogue, Component, Sha256Sum};
use crate::download::Credential;
use crate::fetch::not_had;
use crate::obtain::{self, Source};

/// The name of the agent in a catalogue.
pub(crate) const AGENT: &str = "aami-agent";
/// The exporter every node gets.
pub(crate) const NODE_EXPORTER: &str = "node_exporter";

/// The name of this program among what is copied.
const ITSELF: &str = "aami";

/// What begins the name of a file that nodes update from, among what is copied.
const RELEASED: &str = "release/";

/// The name of an agent among what is copied.
fn agent_of(arch: Arch) -> String {
    format!("{AGENT}/{}", arch.name())
}

/// Whether a component does not run without its whole folder.
fn needs_tree(name: &str) -> bool {
    Part::FOREIGN
        .into_iter()
        .any(|part| part.name() == name && part.needs_its_tree())
}

/// Whether a component can be installed again as it was.
fn is_whole(component: &&Component) -> bool {
    !needs_tree(&component.name) || component.builds.values().all(|build| build.tree.is_some())
}

/// What the steps of one run know together.
pub struct Session {
    pub(crate) options: StackOptions,
    pub(crate) layout: Layout,
    catalogue: Mutex<Option<Arc<Catalogue>>>,
    copied: Mutex<Option<BTreeMap<String, Sha256Sum>>>,
    missing: Mutex<BTreeMap<String, String>>,
    said: Mutex<BTreeSet<String>>,
    made: Mutex<Option<FirstToken>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("wishes", &self.options.wishes)
            .finish_non_exhaustive()
    }
}

fn held<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    pub(super) fn new(options: StackOptions, layout: Layout) -> Self {
        Self {
            options,
            layout,
            catalogue: Mutex::default(),
            copied: Mutex::default(),
            missing: Mutex::default(),
            said: Mutex::default(),
            made: Mutex::default(),
        }
    }

    /// What was chosen.
    pub fn wishes(&self) -> &Wishes {
        &self.options.wishes
    }

    /// Where things lie.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What this run could not have, by name, and why.
    pub fn missing(&self) -> BTreeMap<String, String> {
        held(&self.missing).clone()
    }

    pub(crate) fn is_missing(&self, name: &str) -> bool {
        held(&self.missing).contains_key(name)
    }

    /// Notes that something could not be had; true the first time.
    pub(crate) fn miss(&self, name: &str, why: &str) -> bool {
        held(&self.missing)
            .insert(name.to_owned(), why.to_owned())
            .is_none()
    }

    /// Whether this is said for the first time in this run.
    pub(crate) fn say_once(&self, what: &str) -> bool {
        held(&self.said).insert(what.to_owned())
    }

    /// The parts that are installed or are to be, the control plane first where there is one: all that were asked
    /// for but those that could not be had.
    pub(crate) fn parts(&self) -> Result<Vec<Part>, StepError> {
        let mut parts = Vec::new();
        parts.extend(self.wishes().control_plane.then_some(Part::ControlPlane));
        for part in Part::FOREIGN {
            if !self.wishes().wants(part) || self.is_missing(part.name()) {
                continue;
            }
            match self.component(part.name(), self.options.arch) {
                Ok(_) => parts.push(part),
                Err(error) if error.code() == code::COMPONENT_MISSING => {}
                Err(error) => return Err(error),
            }
        }
        Ok(parts)
    }

    /// A component and its build: as installed, or as the catalogue has it.
    pub(crate) fn component(&self, name: &str, arch: Arch) -> Result<(Component, Build), StepError> {
        let catalogue = self.catalogue()?;
        let (component, build) = catalogue
            .build(name, arch)
            .map_err(|error| StepError::new(error.code(), error.to_string()))?;
        // One that was installed without, by an older version, is shown and taken back as it is.
        if self.options.purpose == Purpose::Install && build.tree.is_none() && needs_tree(name) {
            let version = &component.version;
            let why =
                "its entry in components.toml names no tree, and it does not run without its whole folder";
            return Err(StepError::new(
                code::CATALOGUE_INVALID,
                format!("{name} {version}: {why}"),
            ));
        }
        Ok((component.clone(), build.clone()))
    }

    fn catalogue(&self) -> Result<Arc<Catalogue>, StepError> {
        let mut catalogue = held(&self.catalogue);
        if let Some(found) = &*catalogue {
            return Ok(found.clone());
        }
        let found = match &self.options.purpose {
            Purpose::Look(note) => Catalogue::of(note.installed.values().cloned()),
            Purpose::Install => obtain::catalogue(&self.options.sources, &self.options.downloader)
                .map_err(|error| not_had(&error, None))?
                .overlaid(Catalogue::of(self.options.known.iter().filter(is_whole).cloned())),
        };
        Ok(catalogue.insert(Arc::new(found)).clone())
    }

    /// What is noted on the host: what was chosen, with the components of now.
    pub(crate) fn note(&self) -> Result<Note, StepError> {
        if let Purpose::Look(note) = &self.options.purpose {
            return Ok(note.as_ref().clone());
        }
        let foreign = Part::FOREIGN
            .into_iter()
            .filter(|part| self.wishes().wants(*part));
        // What nodes fetch from a control plane.
        let handed_out = [NODE_EXPORTER, AGENT]
            .into_iter()
            .filter(|_| self.wishes().control_plane);
        let names = foreign.map(Part::name).chain(handed_out);
        let mut installed = BTreeMap::new();
        for name in names {
            match self.component(name, self.options.arch) {
                Ok((component, _)) => {
                    installed.insert(name.to_owned(), component);
                }
                Err(error) if error.code() == code::COMPONENT_MISSING => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Note {
            wishes: self.options.wishes.clone(),
            installed,
            copied: self.copied()?,
        })
    }

    /// What is copied from this machine, with its sum; read once, and as it was installed where that is
    /// what is looked at.
    fn copied(&self) -> Result<BTreeMap<String, Sha256Sum>, StepError> {
        if let Purpose::Look(note) = &self.options.purpose {
            return Ok(note.copied.clone());
        }
        let mut copied = held(&self.copied);
        if let Some(found) = &*copied {
            return Ok(found.clone());
        }
        let mut found = BTreeMap::new();
        if !self.wishes().control_plane {
            return Ok(copied.insert(found).clone());
        }
        found.insert(ITSELF.to_owned(), fetch::sum(&self.options.program)?);
        for (arch, path) in &self.options.agents {
            found.insert(agent_of(*arch), fetch::sum(path)?);
        }
        for (name, file) in &self.options.released {
            found.insert(format!("{RELEASED}{name}"), file.sum);
        }
        Ok(copied.insert(found).clone())
    }

    /// The program that runs now.
    pub(crate) fn itself(&self) -> Result<Content, StepError> {
        let origin = format!("aami {}", self.wishes().version);
        let sum = self.copied()?.get(ITSELF).copied();
        let sum =
            sum.ok_or_else(|| StepError::new(code::STEP_FAILED, "the note does not say what was placed"))?;
        Ok(fetch::copy(origin, &self.options.program, sum))
    }

    /// The agent for a processor, where it is a file of this machine.
    pub(crate) fn agent(&self, arch: Arch) -> Result<Option<Content>, StepError> {
        let Some(sum) = self.copied()?.get(&agent_of(arch)).copied() else {
            return Ok(None);
        };
        let path = self.options.agents.iter().find(|(of, _)| *of == arch);
        let path = path.map_or_else(|| Path::new(""), |(_, path)| path.as_path());
        Ok(Some(fetch::copy(agent_of(arch), path, sum)))
    }

    /// What nodes update from: each file by its path below `dist/`.
    pub(crate) fn released(&self) -> Result<Vec<(String, Content)>, StepError> {
        let copied = self.copied()?;
        let files = copied
            .iter()
            .filter_map(|(name, sum)| Some((name.strip_prefix(RELEASED)?, *sum)));
        let content = |(name, sum): (&str, Sha256Sum)| {
            let file = self.options.released.get(name);
            let from = file.and_then(|file| file.from.as_deref());
            let content = match from {
                Some(path) => fetch::copy(name, path, sum),
                None => fetch::as_placed(name, sum),
            };
            (name.to_owned(), content)
        };
        Ok(files.map(content).collect())
    }

    /// The mirror, and what it wants to see, where this run knows it.
    pub(crate) fn mirror_credential(&self) -> Option<(&str, &Credential)> {
        self.options.sources.iter().find_map(|source| match source {
            Source::Mirror(mirror) => Some((mirror.url.as_str(), mirror.access.credential.as_ref()?)),
            Source::Folder(_) | Source::Publisher => None,
        })
    }

    /// The first token: made by the control plane when the first of its files is due.
    pub(crate) fn first_token(
        &self,
        make: impl FnOnce() -> Result<FirstToken, StepError>,
    ) -> Result<FirstToken, StepError> {
        let mut made = held(&self.made);
        if let Some(token) = &*made {
            return Ok(token.clone());
        }
        Ok(made.insert(make()?).clone())
    }
}
