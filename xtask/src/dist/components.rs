//! Components that are taken along, so that a site without internet has them: a folder as
//! `scripts/fetch-components.sh` makes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

#[derive(Deserialize)]
struct Catalogue {
    format: u32,
    component: Vec<Component>,
}

#[derive(Deserialize)]
struct Component {
    name: String,
    build: BTreeMap<String, Build>,
}

#[derive(Deserialize)]
struct Build {
    file: String,
    sha256: String,
}

/// What a folder brings.
pub(super) struct Components {
    /// Its part of the catalogue.
    pub(super) entries: String,
    /// Each archive, by its path in the release.
    pub(super) files: Vec<(String, Vec<u8>)>,
}

/// The catalogue's head, with the agents: who installs a server from the release places them there for its nodes.
pub(super) fn agents(version: &str, sums: &[(String, String)]) -> String {
    let mut text = format!(
        "# What lies in this folder, by processor. `--components-dir` and `--mirror` take it from here.\nformat = 1\n\n\
         [[component]]\nname = \"aami-agent\"\nversion = \"{version}\"\nkind = \"tool\"\nlicense = \"MIT\"\narchive = \"none\"\n"
    );
    for (arch, sum) in sums {
        let _ = write!(
            text,
            "\n[component.build.{arch}]\nfile = \"aami-agent\"\nsha256 = \"{sum}\"\nprograms = {{ aami-agent = \"aami-agent\" }}\n"
        );
    }
    text
}

/// The catalogue's entries and the files they name for these processors, each judged by its checksum.
pub(super) fn read(folder: &Path, architectures: &[String]) -> Result<Components> {
    let path = folder.join("components.toml");
    let text = fs::read_to_string(&path).with_context(|| {
        format!(
            "{} cannot be read; `make components` makes such a folder",
            path.display()
        )
    })?;
    let catalogue: Catalogue = toml::from_str(&text).with_context(|| path.display().to_string())?;
    ensure!(
        catalogue.format == 1,
        "{}: format {} is not known",
        path.display(),
        catalogue.format
    );
    let entries = text
        .split_once("\n[[component]]")
        .map(|(_, rest)| format!("\n[[component]]{rest}"))
        .unwrap_or_default();
    let mut files = Vec::new();
    for component in &catalogue.component {
        for (arch, build) in &component.build {
            if !architectures.contains(arch) {
                continue;
            }
            let path = folder.join(&build.file);
            ensure!(
                !build.file.contains('/') && !build.file.starts_with('.'),
                "{}: {:?} is not a plain name",
                component.name,
                build.file
            );
            let bytes = fs::read(&path)
                .with_context(|| format!("{}: {} cannot be read", component.name, path.display()))?;
            ensure!(
                super::checksum(&bytes) == build.sha256,
                "{} is not the file that components.toml names",
                path.display()
            );
            files.push((format!("{arch}/{}", build.file), bytes));
        }
    }
    Ok(Components { entries, files })
}
