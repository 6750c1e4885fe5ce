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
        Some(names) => names
            .iter()
            .cloned()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::download::{Proxies, Settings};

    fn names(list: &[&str]) -> Option<Vec<String>> {
        Some(list.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn all_that_can_be_had_is_chosen_and_the_rest_is_named() {
        let catalogue = Catalogue::embedded().unwrap();
        let both = BTreeSet::from(Arch::ALL);
        let (choices, left) = choose(&catalogue, None, &both).unwrap();
        let paths: Vec<String> = choices.iter().map(Choice::path).collect();
        assert!(
            paths
                .iter()
                .any(|path| path.starts_with("components/arm64/prometheus-")),
            "{paths:?}"
        );
        assert_eq!(paths.len(), 2 * catalogue.components().count());
        let names_left: Vec<&str> = left.iter().map(|left| left.name.as_str()).collect();
        assert_eq!(names_left, ["all_smi", "dcgm_exporter", "grafana"]);

        let (choices, left) = choose(
            &catalogue,
            names(&["prometheus", "prometheus"]).as_deref(),
            &[Arch::Amd64].into(),
        )
        .unwrap();
        assert_eq!((choices.len(), left.len()), (1, 0));
        for name in ["grafana", "nothing"] {
            let error = choose(&catalogue, names(&[name]).as_deref(), &both).unwrap_err();
            assert_eq!(error.code().symbol, "COMPONENT_MISSING", "{error}");
        }
    }

    #[test]
    fn a_component_goes_in_by_its_checksum_and_asks_nobody_afterwards() {
        // Given a folder that carries a component for both processors, under one name,
        let folder = tempfile::tempdir().unwrap();
        let mut text = "format = 1\n[[component]]\nname = \"thing\"\nversion = \"1\"\nkind = \"exporter\"\n\
                        license = \"MIT\"\narchive = \"tar.gz\"\n"
            .to_owned();
        for arch in Arch::ALL {
            let place = folder.path().join(arch.name());
            std::fs::create_dir(&place).unwrap();
            std::fs::write(place.join("thing.tar.gz"), arch.name()).unwrap();
            let sum = crate::download::sum_of(&place.join("thing.tar.gz")).unwrap();
            text.push_str(&format!(
                "[component.build.{}]\nurl = \"https://example.com/thing.tar.gz\"\nsha256 = \"{sum}\"\n\
                 programs = {{ thing = \"thing/thing\" }}\n",
                arch.name()
            ));
        }
        let catalogue = Catalogue::parse(&text, "a site's").unwrap();
        let downloader = Downloader::new(Settings::new(Proxies::default(), || 0.0));
        let sources = [Source::Folder(folder.path().to_owned())];
        let cache = tempfile::tempdir().unwrap();
        let (choices, _) = choose(&catalogue, None, &Arch::ALL.into()).unwrap();
        let mut quiet = |_, _| std::ops::ControlFlow::Continue(());
        // when both are obtained,
        let got: Vec<Got> = choices
            .into_iter()
            .map(|choice| {
                choice
                    .obtain(&downloader, &sources, cache.path(), &mut quiet)
                    .unwrap()
            })
            .collect();
        // then each lies in the folder of its processor, and the catalogue knows it by its sum alone.
        let paths: Vec<&str> = got.iter().map(|one| one.item.entry.path.as_str()).collect();
        assert_eq!(
            paths,
            ["components/amd64/thing.tar.gz", "components/arm64/thing.tar.gz"]
        );
        assert_eq!(got[0].item.entry.source, "https://example.com/thing.tar.gz");
        let item = super::catalogue("0.1.0", &got);
        assert_eq!(item.entry.path, "components/components.toml");
        let text = item.text().unwrap();
        assert!(!text.contains("https://"), "{text}");
        let read = Catalogue::parse(&text, "the bundle's").unwrap();
        for (arch, one) in Arch::ALL.into_iter().zip(&got) {
            let (_, build) = read.build("thing", arch).unwrap();
            assert_eq!(build.checksum, Checksum::Pinned(one.item.entry.sha256));
            assert!(obtain::outside(build, arch, &[Source::Publisher]).is_empty());
        }
    }

    #[test]
    fn a_processor_that_lacks_a_program_makes_no_bundle() {
        let folder = tempfile::tempdir().unwrap();
        let put = |arch: Arch, name: &str, machine: u8| {
            let place = folder.path().join(arch.name());
            std::fs::create_dir_all(&place).unwrap();
            let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".to_vec();
            bytes.extend([machine, 0]);
            std::fs::write(place.join(name), bytes).unwrap();
        };
        put(Arch::Amd64, PROGRAM, 62);
        put(Arch::Amd64, AGENT, 62);
        put(Arch::Arm64, PROGRAM, 183);
        // Under the right name, and for another processor.
        put(Arch::Arm64, AGENT, 62);
        let folders = [folder.path().to_owned()];
        let found = programs(&[Arch::Amd64].into(), &folders, &[]).unwrap();
        assert_eq!(found.len(), 2);
        let error = programs(&Arch::ALL.into(), &folders, &[]).unwrap_err();
        assert_eq!(error.code().symbol, "BUNDLE_INCOMPLETE");
        assert!(
            error.to_string().contains("aami-agent for arm64 is missing"),
            "{error}"
        );
        // A file that is named serves where no folder has it.
        let file = folder.path().join("amd64").join(AGENT);
        assert!(programs(&[Arch::Amd64].into(), &[], &[file]).is_err());
        let files = [PROGRAM, AGENT].map(|name| folder.path().join("amd64").join(name));
        let found = programs(&[Arch::Amd64].into(), &[], &files).unwrap();
        assert_eq!(
            found.iter().map(|one| one.name).collect::<Vec<_>>(),
            [PROGRAM, AGENT]
        );
        let items: Vec<Item> = found.iter().map(|one| one.item("0.1.0").unwrap()).collect();
        let script = script("0.1.0", &items);
        assert_eq!(script.entry.kind, Kind::Script);
        assert!(
            script
                .text()
                .unwrap()
                .contains(&items[0].entry.sha256.to_string())
        );
    }
}
