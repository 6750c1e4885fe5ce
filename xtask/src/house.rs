//! The project as the chores see it: its packages, what each depends on, and its text files.
//!
//! Read once from disk by [`House::read`]; every rule is then a function of this value, so that a test
//! can build a small house of its own and break one rule in it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// Folders that hold nothing a person wrote.
const NOT_OURS: &[&str] = &[".git", "target", "node_modules", ".cache", "dist"];

/// A text file larger than this was not written by a person.
const LARGEST_TEXT: u64 = 2 * 1024 * 1024;

/// Everything the rules look at.
#[derive(Debug, Default)]
pub(crate) struct House {
    /// The packages of the workspace.
    pub(crate) packages: Vec<Package>,
    /// The packages of others that the workspace is built from, after resolution.
    pub(crate) foreign: Vec<Foreign>,
    /// The text files of the tree, by path relative to its root, in order.
    pub(crate) files: Vec<File>,
}

/// One package of the workspace.
#[derive(Debug, Default)]
pub(crate) struct Package {
    /// Its name in Cargo.
    pub(crate) name: String,
    /// Its folder, relative to the root.
    pub(crate) folder: String,
    /// What its manifest asks for.
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a manifest's dependency tables.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dependency {
    /// The name of the package depended on, not what it is renamed to.
    pub(crate) name: String,
    /// Only tests, benches and examples see it.
    pub(crate) dev: bool,
    /// The features asked for.
    pub(crate) features: Vec<String>,
}

/// One package of somebody else.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Its licence, as an SPDX expression.
    pub(crate) license: Option<String>,
    /// Where Cargo took it from.
    pub(crate) source: String,
}

/// One text file.
#[derive(Debug, Default)]
pub(crate) struct File {
    /// Its path relative to the root, with `/`.
    pub(crate) path: String,
    /// What it says.
    pub(crate) text: String,
}

impl File {
    /// The last part of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Whether it is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether only tests, benches or examples are built from it.
    pub(crate) fn is_test(&self) -> bool {
        self.path
            .split('/')
            .any(|part| matches!(part, "tests" | "benches" | "examples"))
            || self.name() == "tests.rs"
    }

    /// The lines that are compiled into the package itself, numbered from one: everything before the
    /// unit tests, which stand at the end of a file.
    pub(crate) fn shipped_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line))
            .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
    }
}

impl House {
    /// Reads the house at `root`. Fails when Cargo cannot resolve the workspace or a file cannot be read.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let (packages, foreign) = packages(root)?;
        let mut files = Vec::new();
        walk(root, root, &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self {
            packages,
            foreign,
            files,
        })
    }

    /// The file at `path`, if there is one.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The package whose folder holds the file.
    pub(crate) fn package_of(&self, file: &File) -> Option<&Package> {
        self.packages.iter().find(|package| {
            file.path
                .strip_prefix(&package.folder)
                .is_some_and(|rest| rest.starts_with('/'))
        })
    }
}

/// The root of the workspace this program was built from.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<File>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !NOT_OURS.iter().any(|name| entry.file_name() == *name) {
                walk(root, &path, files)?;
            }
        } else if kind.is_file() && entry.metadata()?.len() <= LARGEST_TEXT {
            let bytes = match std::fs::read(&path) {
                Ok(bytes) => bytes,
                // Somebody is editing beside us: a temporary file may go away while we look.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
            };
            // What is not UTF-8 is a picture or an archive.
            if let Ok(text) = String::from_utf8(bytes) {
                let relative = path.strip_prefix(root).unwrap_or(&path);
                let path = relative.to_string_lossy().replace('\\', "/");
                files.push(File { path, text });
            }
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    workspace_members: BTreeSet<String>,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct MetadataPackage {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    manifest_path: PathBuf,
    dependencies: Vec<MetadataDependency>,
}

#[derive(Deserialize)]
struct MetadataDependency {
    name: String,
    kind: Option<String>,
    features: Vec<String>,
}

fn packages(root: &Path) -> Result<(Vec<Package>, Vec<Foreign>)> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--all-features"])
        // What only other systems would build in is nobody's concern: both Linux architectures have the same list.
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root)
        .output()
        .context("cannot start cargo metadata")?;
    if !output.status.success() {
        bail!(
            "cargo metadata failed:\n{}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("cargo metadata said something unexpected")?;
    let mut ours = Vec::new();
    let mut foreign = Vec::new();
    for package in metadata.packages {
        if metadata.workspace_members.contains(&package.id) {
            ours.push(own(package, &metadata.workspace_root));
        } else {
            foreign.push(Foreign {
                name: package.name,
                version: package.version,
                license: package.license,
                source: package.source.unwrap_or_default(),
            });
        }
    }
    Ok((ours, foreign))
}

fn own(package: MetadataPackage, root: &Path) -> Package {
    let folder = package.manifest_path.parent().unwrap_or(root);
    let folder = folder
        .strip_prefix(root)
        .unwrap_or(folder)
        .to_string_lossy()
        .into_owned();
    let dependencies = package.dependencies.into_iter().map(|dependency| Dependency {
        name: dependency.name,
        dev: dependency.kind.as_deref() == Some("dev"),
        features: dependency.features,
    });
    Package {
        name: package.name,
        folder,
        dependencies: dependencies.collect(),
    }
}
