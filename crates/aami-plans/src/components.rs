//! The catalogue of the programs AAMI installs but does not make.
//!
//! [`Catalogue::embedded`] is what ships with this program; a site lays its own over it with
//! [`Catalogue::overlaid`], for a mirror that repacks or carries other versions. Both are the same
//! TOML (`components/catalogue.toml` is the example to copy), read strictly: an unknown member, a
//! path that climbs or a checksum that is none is refused with line and reason.

mod format;
#[cfg(any(feature = "bundle", feature = "stack"))]
mod written;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use aami_inventory::Arch;
use aami_model::code::{self, Code};
use serde::{Deserialize, Serialize};

/// A catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    components: BTreeMap<String, Component>,
    absent: BTreeMap<String, Absent>,
}

/// One component: a program, or a few that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// E.g. `node_exporter`.
    pub name: String,
    /// As its publisher counts.
    pub version: String,
    /// What it is for.
    pub kind: Kind,
    /// SPDX expression.
    pub license: String,
    /// Where to read about it.
    pub homepage: Option<String>,
    /// The ports it listens on unless told otherwise.
    pub ports: Vec<u16>,
    /// What it is started with, where AAMI does not know it itself; `{port}` stands for its port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// How its builds are packed.
    pub archive: Archive,
    /// About how many bytes it takes once it is unpacked, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpacked: Option<u64>,
    /// Its builds.
    pub builds: BTreeMap<Arch, Build>,
}

/// A component that is known but that nobody offers as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// What it is for.
    pub kind: Kind,
    /// Why, and what to do instead.
    pub why: String,
    /// The container image its publisher offers in place of a file, with its digest.
    pub image: Option<String>,
    /// About how many bytes it takes once it is unpacked, for a site that has it.
    pub unpacked: Option<u64>,
}

/// What a component is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Runs on a node and serves metrics.
    Exporter,
    /// Runs beside the control plane.
    Server,
    /// Run by hand or by another program.
    Tool,
}

/// How builds are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Archive {
    /// A tar archive under gzip.
    #[serde(rename = "tar.gz")]
    TarGz,
    /// The file is the program itself.
    #[serde(rename = "none")]
    None,
}

/// One build of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The file's name, in a mirror or a folder.
    pub file: String,
    /// Where its publisher offers it, if anywhere.
    pub url: Option<String>,
    /// How it is known to be the right one.
    pub checksum: Checksum,
    /// Each program by name, and where it lies in the archive.
    pub programs: BTreeMap<String, String>,
    /// The folder of the archive that is placed whole, for programs that need what lies beside them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<String>,
}

impl Build {
    /// Where a program lies below the folder that is placed whole; none where there is no such program, or
    /// no such folder.
    pub fn below_tree(&self, program: &str) -> Option<&str> {
        let path = self.programs.get(program)?;
        path.strip_prefix(self.tree.as_deref()?)?.strip_prefix('/')
    }
}

/// How a file is known to be the right one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checksum {
    /// By this value.
    Pinned(Sha256Sum),
    /// By the publisher's own list, fetched over HTTPS at the time.
    Published(String),
}

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Sum(pub [u8; 32]);

impl Serialize for Sha256Sum {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256Sum {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a text is not a SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 is 64 hexadecimal digits")]
pub struct NotASha256;

impl FromStr for Sha256Sum {
    type Err = NotASha256;

    fn from_str(text: &str) -> Result<Self, NotASha256> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE
            .decode(text.as_bytes())
            .map_err(|_| NotASha256)?;
        bytes.try_into().map(Self).map_err(|_| NotASha256)
    }
}

impl fmt::Display for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a catalogue cannot be used, or does not have what is wanted.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Not a catalogue.
    #[error("{name}, line {line}: {message}")]
    Invalid {
        /// The file, or where it came from.
        name: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong, with the field.
        message: String,
    },
    /// Neither known nor absent for a reason.
    #[error("the catalogue has no component {0:?}")]
    Unknown(String),
    /// Known, but nobody offers it.
    #[error("{name} cannot be had: {why}")]
    Absent {
        /// Which.
        name: String,
        /// Why, and what to do.
        why: String,
    },
    /// There, but not for this processor.
    #[error("{name} {version} has no build for {arch}")]
    NoBuild {
        /// Which.
        name: String,
        /// Its version.
        version: String,
        /// The processor.
        arch: &'static str,
    },
}

impl CatalogueError {
    /// The registry's entry for it.
    pub const fn code(&self) -> Code {
        match self {
            Self::Invalid { .. } => code::CATALOGUE_INVALID,
            Self::Unknown(_) | Self::Absent { .. } | Self::NoBuild { .. } => code::COMPONENT_MISSING,
        }
    }
}

/// Whether this names a container image by its digest (`NAME@sha256:...`, with or without a tag), so that whoever
/// fetches it can tell that it is the one that was meant.
pub fn is_pinned_image(text: &str) -> bool {
    let Some((name, sum)) = text.split_once("@sha256:") else {
        return false;
    };
    text.len() <= 255
        && name.contains('/')
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-/:".contains(&b))
        && sum.len() == 64
        && sum.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

impl Catalogue {
    /// The catalogue inside this program.
    pub fn embedded() -> Result<Self, CatalogueError> {
        Self::parse(
            include_str!("components/catalogue.toml"),
            "the built-in catalogue",
        )
    }

    /// Reads a catalogue; `name` is what errors call it.
    pub fn parse(text: &str, name: &str) -> Result<Self, CatalogueError> {
        format::parse(text, name)
    }

    /// This catalogue with every entry of `over` in the place of its own.
    #[must_use]
    pub fn overlaid(mut self, over: Self) -> Self {
        for (name, component) in over.components {
            self.absent.remove(&name);
            self.components.insert(name, component);
        }
        for (name, absent) in over.absent {
            self.components.remove(&name);
            self.absent.insert(name, absent);
        }
        self
    }

    /// A catalogue of exactly these.
    pub fn of(components: impl IntoIterator<Item = Component>) -> Self {
        let components = components
            .into_iter()
            .map(|component| (component.name.clone(), component));
        Self {
            components: components.collect(),
            absent: BTreeMap::new(),
        }
    }

    /// Every component, by name.
    pub fn components(&self) -> impl Iterator<Item = &Component> {
        self.components.values()
    }

    /// What is known and nobody offers, by name.
    #[cfg(feature = "bundle")]
    pub(crate) fn absent(&self) -> impl Iterator<Item = (&str, &Absent)> {
        self.absent.iter().map(|(name, absent)| (name.as_str(), absent))
    }

    /// Whether something of this name stands in it, to be had or not.
    #[cfg(feature = "node")]
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.components.contains_key(name) || self.absent.contains_key(name)
    }

    /// About how many bytes a component takes once it is unpacked, to be had or not; `None` where nobody says.
    pub fn unpacked(&self, name: &str) -> Option<u64> {
        let absent = || self.absent.get(name)?.unpacked;
        self.components
            .get(name)
            .map_or_else(absent, |component| component.unpacked)
    }

    /// Whether it can be had, for one processor at least.
    #[cfg(feature = "preflight")]
    pub(crate) fn has(&self, name: &str) -> bool {
        self.components.contains_key(name)
    }

    /// The names of everything of a kind, to be had or not.
    #[cfg(feature = "preflight")]
    pub(crate) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &str> {
        let components = self.components.values().filter(move |one| one.kind == kind);
        let absent = self.absent.iter().filter(move |(_, one)| one.kind == kind);
        components
            .map(|one| one.name.as_str())
            .chain(absent.map(|(name, _)| name.as_str()))
    }

    /// The container image that stands in for a component nobody offers as a file.
    pub fn image(&self, name: &str) -> Option<&str> {
        self.absent.get(name)?.image.as_deref()
    }

    /// A component and its build for a processor.
    pub fn build(&self, name: &str, arch: Arch) -> Result<(&Component, &Build), CatalogueError> {
        let Some(component) = self.components.get(name) else {
            return Err(match self.absent.get(name) {
                Some(absent) => CatalogueError::Absent {
                    name: name.to_owned(),
                    why: absent.why.clone(),
                },
                None => CatalogueError::Unknown(name.to_owned()),
            });
        };
        let build = component
            .builds
            .get(&arch)
            .ok_or_else(|| CatalogueError::NoBuild {
                name: name.to_owned(),
                version: component.version.clone(),
                arch: arch.name(),
            })?;
        Ok((component, build))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_catalogue_has_both_processors_of_everything_it_has() {
        let catalogue = Catalogue::embedded().unwrap();
        let names: Vec<&str> = catalogue.components().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["alertmanager", "node_exporter", "prometheus"]);
        for component in catalogue.components() {
            for arch in Arch::ALL {
                let (_, build) = catalogue.build(&component.name, arch).unwrap();
                assert!(
                    matches!(build.checksum, Checksum::Pinned(_)),
                    "{}",
                    component.name
                );
                assert!(build.file.contains(arch.name()), "{}", build.file);
                assert!(build.file.contains(&component.version), "{}", build.file);
                assert!(build.programs.values().all(|path| path.contains(arch.name())));
            }
        }
    }

    #[test]
    fn what_the_parts_of_a_server_take_is_known_before_they_are_there() {
        let catalogue = Catalogue::embedded().unwrap();
        let servers: Vec<&str> = catalogue.of_kind(Kind::Server).collect();
        assert_eq!(servers, ["alertmanager", "prometheus", "grafana"]);
        for name in servers {
            let bytes = catalogue.unpacked(name).unwrap_or(0);
            assert!(bytes >= 50_000_000, "{name}: {bytes}");
        }
        assert_eq!(catalogue.unpacked("nothing_of_the_kind"), None);
    }

    #[test]
    fn what_cannot_be_had_says_why() {
        let catalogue = Catalogue::embedded().unwrap();
        let error = catalogue.build("dcgm_exporter", Arch::Amd64).unwrap_err();
        assert_eq!(error.code(), code::COMPONENT_MISSING);
        assert!(
            error.to_string().contains("datacenter-gpu-manager-exporter"),
            "{error}"
        );
        assert!(matches!(
            catalogue.build("grafana", Arch::Amd64),
            Err(CatalogueError::Absent { .. })
        ));
        assert!(matches!(
            catalogue.build("nothing_of_the_kind", Arch::Amd64),
            Err(CatalogueError::Unknown(_))
        ));
        // No digest of NVIDIA's image is on public record; nothing is run by a tag alone.
        assert!(error.to_string().contains("--dcgm-image"), "{error}");
        assert_eq!(catalogue.image("dcgm_exporter"), None);
        assert_eq!(catalogue.image("all_smi"), None);
    }

    #[test]
    fn an_image_is_named_by_its_digest_or_not_at_all() {
        let parse = |image: &str| {
            let text = format!(
                "format = 1\n[[absent]]\nname = \"dcgm_exporter\"\nkind = \"exporter\"\nwhy = \"x\"\n\
                 image = \"{image}\"\n"
            );
            Catalogue::parse(&text, "site")
        };
        let digest = format!("sha256:{}", "0a".repeat(32));
        for good in [
            format!("nvcr.io/nvidia/k8s/dcgm-exporter@{digest}"),
            format!("mirror.example.com:5000/dcgm-exporter:4.5.3@{digest}"),
        ] {
            let catalogue = parse(&good).unwrap();
            assert_eq!(catalogue.image("dcgm_exporter"), Some(good.as_str()));
        }
        for bad in [
            "nvcr.io/nvidia/k8s/dcgm-exporter:4.5.3-4.8.2-distroless",
            "nvcr.io/nvidia/k8s/dcgm-exporter",
            "nvcr.io/dcgm-exporter@sha256:12",
            &format!("nvcr.io/dcgm-exporter@sha256:{}", "zz".repeat(32)),
            &format!("--privileged/x@{digest}"),
            &format!("a/b@c@{digest}"),
            &format!("a/ b@{digest}"),
        ] {
            let error = parse(bad).expect_err(bad);
            assert!(error.to_string().contains("with its digest"), "{error}");
        }
    }

    #[test]
    fn a_site_replaces_an_entry_and_adds_what_was_absent() {
        let entry = |name: &str, sum: &str| {
            format!(
                "[[component]]\nname = \"{name}\"\nversion = \"9\"\nkind = \"exporter\"\nlicense = \"MIT\"\n\
                 archive = \"none\"\n[component.build.amd64]\nfile = \"{name}\"\nsha256 = \"{sum}\"\n\
                 programs = {{ {name} = \"{name}\" }}\n"
            )
        };
        let sum = "0".repeat(64);
        let text = format!(
            "format = 1\n{}{}",
            entry("node_exporter", &sum),
            entry("dcgm_exporter", &sum)
        );
        let site = Catalogue::parse(&text, "site").unwrap();
        let catalogue = Catalogue::embedded().unwrap().overlaid(site);
        let (component, build) = catalogue.build("node_exporter", Arch::Amd64).unwrap();
        assert_eq!((component.version.as_str(), build.url.as_deref()), ("9", None));
        assert!(catalogue.build("dcgm_exporter", Arch::Amd64).is_ok());
        let error = catalogue.build("dcgm_exporter", Arch::Arm64).unwrap_err();
        assert_eq!(error.to_string(), "dcgm_exporter 9 has no build for arm64");
        assert!(catalogue.build("prometheus", Arch::Arm64).is_ok());
    }
}
