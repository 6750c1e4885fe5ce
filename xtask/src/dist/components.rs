//! Components that are taken along, so that a site without internet has them: a folder as
//! `scripts/fetch-components.sh` makes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

#[derive(Deserialize)]
struct Catalogue {
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

/// The catalogue and every file it names, each judged by its checksum.
pub(super) fn read(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let path = folder.join("components.toml");
    let text = fs::read_to_string(&path).with_context(|| {
        format!(
            "{} cannot be read; `make components` makes such a folder",
            path.display()
        )
    })?;
    let catalogue: Catalogue = toml::from_str(&text).with_context(|| path.display().to_string())?;
    let mut files = vec![("components.toml".to_owned(), text.into_bytes())];
    for component in &catalogue.component {
        for build in component.build.values() {
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
            files.push((build.file.clone(), bytes));
        }
    }
    Ok(files)
}
