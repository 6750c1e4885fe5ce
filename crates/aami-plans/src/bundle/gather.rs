//! What goes into a bundle: AAMI's own programs, components out of a catalogue, texts, and the script.
//!
//! [`choose`] decides without asking anybody, so that it can be shown first; [`Choice::obtain`] fetches one component
//! through the cache. [`programs`] looks for the programs in the folders it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use aami_inventory::Arch;
use aami_inventory::elf::built_for;

use super::create::{AGENT, About, Item, PROGRAM};
use super::manifest::Kind;
use super::{BundleError, script};
use crate::components::{Build, Catalogue, Checksum, Component, Sha256Sum};
use crate::download::{Downloader, Progress};
use crate::obtain::{self, Source};

/// What AAMI's own parts are licensed under.
const LICENSE: &str = env!("CARGO_PKG_LICENSE");

/// A component's build that goes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The component.
    pub component: Component,
    /// Its build.
    pub build: Build,
    /// For which processor.
    pub arch: Arch,
}

/// A component that does not go in, since nobody asked for it by name and nobody offers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Which.
    pub name: String,
    /// Why.
    pub why: String,
}

/// A component that was obtained: its entry, and what the bundle's catalogue says about it.
#[derive(Debug)]
pub struct Got {
    /// The entry.
    pub item: Item,
    choice: Choice,
    sum: Sha256Sum,
}

/// Chooses builds: of the named components, or of all that can be had. A named one that cannot be had is an error.
pub fn choose(
    catalogue: &Catalogue,
    names: Option<&[String]>,
    architectures: &BTreeSet<Arch>,
) -> Result<(Vec<Choice>, Vec<Left>), BundleError> {
    let mut choices = Vec::new();
    let mut left = Vec::new();
    let all: Vec<String> = match names {
        Some(names) => names.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect(),
        None => {
            left.extend(catalogue.absent().map(|(name, absent)| Left {
                name: name.to_owned(),
                why: absent.why.clone(),
            }));
            catalogue.components().map(|one| one.name.clone()).collect()
        }
    };
    for name in all {
        for arch in architectures {
            match catalogue.build(&name, *arch) {
                Ok((component, build)) => choices.push(Choice {
                    component: component.clone(),
                    build: build.clone(),
                    arch: *arch,
                }),
                Err(error) if names.is_some() => return Err(error.into()),
                Err(error) => left.push(Left {
                    name: name.clone(),
                    why: error.to_string(),
                }),
            }
        }
    }
    Ok((choices, left))
}

impl Choice {
    /// Where it will lie in the bundle.
    pub fn path(&self) -> String {
        format!("components/{}/{}", self.arch.name(), self.build.file)
    }

    /// Gets its file from the first source that has it, into `cache`, by its checksum.
    pub fn obtain(
        self,
        downloader: &Downloader,
        sources: &[Source],
        cache: &Path,
        progress: Progress<'_>,
    ) -> Result<Got, BundleError> {
        let obtained = obtain::obtain(
            downloader,
            &self.component,
            &self.build,
            self.arch,
            sources,
            cache,
            progress,
        )?;
        let Component {
            name,
            version,
            license,
            ..
        } = &self.component;
        // Where it lay on this machine says nothing to whoever reads the manifest.
        let is_address = obtained.origin.contains("://");
        let source = match &self.build.url {
            Some(url) => url.clone(),
            None if is_address => obtained.origin,
            None => format!("a folder of whoever made the bundle: {}", self.build.file),
        };
        let about = About {
            path: self.path(),
            kind: Kind::Component,
            name: name.clone(),
            version: version.clone(),
            arch: Some(self.arch),
            license: license.clone(),
            source,
        };
        let item = Item::file(about, obtained.verified.path())?;
        let sum = obtained.verified.sha256();
        if item.entry.sha256 != sum {
            return Err(BundleError::Changed(obtained.verified.path().to_owned()));
        }
        Ok(Got {
            item,
            choice: self,
            sum,
        })
    }
}

/// The catalogue of what was obtained. Every checksum in it is pinned, and no address is: whoever installs from the
/// bundle asks nobody.
pub fn catalogue(version: &str, got: &[Got]) -> Item {
    let mut components: BTreeMap<String, Component> = BTreeMap::new();
    for Got { choice, sum, .. } in got {
        let build = Build {
            url: None,
            checksum: Checksum::Pinned(*sum),
            ..choice.build.clone()
        };
        let component = components
            .entry(choice.component.name.clone())
            .or_insert_with(|| Component {
                builds: BTreeMap::new(),
                ..choice.component.clone()
            });
        component.builds.insert(choice.arch, build);
    }
    let about = own(
        version,
        Kind::Catalogue,
        "components/components.toml",
        "components.toml",
    );
    Item::bytes(about, Catalogue::of(components.into_values()).text())
}

/// A dashboard or a file of rules, as this version of AAMI has it.
pub fn text(version: &str, kind: Kind, file: &str, text: String) -> Item {
    let folder = match kind {
        Kind::Dashboard => "dashboards",
        _ => "rules",
    };
    Item::bytes(own(version, kind, &format!("{folder}/{file}"), file), text)
}

/// One of AAMI's own programs on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnProgram {
    /// `aami` or `aami-agent`.
    pub name: &'static str,
    /// For which processor.
    pub arch: Arch,
    /// Where it lies.
    pub path: PathBuf,
}

impl OwnProgram {
    /// Its entry.
    pub fn item(&self, version: &str) -> Result<Item, BundleError> {
        let path = format!("{}/{}", self.arch.name(), self.name);
        let about = About {
            arch: Some(self.arch),
            ..own(version, Kind::Program, &path, self.name)
        };
        Item::file(about, &self.path)
    }
}

/// Both programs for each processor, from the first place that has them: `ARCH/NAME` in a folder, or a file that
/// is named. A processor that lacks one is an error: a bundle that was to have it and does not is none.
pub fn programs(
    architectures: &BTreeSet<Arch>,
    folders: &[PathBuf],
    files: &[PathBuf],
) -> Result<Vec<OwnProgram>, BundleError> {
    let mut programs = Vec::new();
    for arch in architectures {
        for name in [PROGRAM, AGENT] {
            let in_folders = folders.iter().map(|folder| folder.join(arch.name()).join(name));
            let named = files.iter().filter(|file| file.ends_with(name)).cloned();
            let places: Vec<PathBuf> = in_folders.chain(named).collect();
            let Some(path) = places.iter().find(|path| built_for(path) == Some(*arch)) else {
                let places: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
                return Err(BundleError::Missing {
                    what: format!("{name} for {}", arch.name()),
                    why: format!("it is not at {}", places.join(", ")),
                });
            };
            programs.push(OwnProgram {
                name,
                arch: *arch,
                path: path.clone(),
            });
        }
    }
    Ok(programs)
}

/// The script that installs from the unpacked bundle, for these programs.
pub fn script(version: &str, programs: &[Item]) -> Item {
    let sums = programs
        .iter()
        .filter(|item| item.entry.name == PROGRAM)
        .filter_map(|item| Some((item.entry.arch?, item.entry.sha256)));
    let text = script::text(version, &sums.collect());
    Item::bytes(own(version, Kind::Script, "install.sh", "install.sh"), text)
}

fn own(version: &str, kind: Kind, path: &str, name: &str) -> About {
    About {
        path: path.to_owned(),
        kind,
        name: name.to_owned(),
        version: version.to_owned(),
        arch: None,
        license: LICENSE.to_owned(),
        source: format!("AAMI {version}"),
    }
}
