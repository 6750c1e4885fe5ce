//! Manifests inherit: lints, edition and every dependency's version stand once, in the root.

use super::Breach;
use crate::house::{File, House};

const INHERITED: &[&str] = &["version", "edition", "rust-version", "license", "publish"];
const TABLES: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

pub(super) fn check(house: &House) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for package in &house.packages {
        let path = format!("{}/Cargo.toml", package.folder);
        match house.file(&path) {
            Some(manifest) => breaches.extend(check_one(manifest)),
            None => breaches.push(Breach::new(path, "the manifest could not be read")),
        }
    }
    breaches
}

fn check_one(manifest: &File) -> Vec<Breach> {
    let breach = |what: String| Breach::new(&manifest.path, what);
    let parsed: toml::Table = match manifest.text.parse() {
        Ok(parsed) => parsed,
        Err(error) => return vec![breach(format!("not TOML: {}", error.message()))],
    };
    let mut breaches = Vec::new();
    if !inherits(parsed.get("lints")) {
        breaches.push(breach("`[lints] workspace = true` is missing".to_owned()));
    }
    let package = parsed.get("package");
    for key in INHERITED {
        if !inherits(package.and_then(|package| package.get(key))) {
            breaches.push(breach(format!(
                "`{key}.workspace = true` is missing in [package]"
            )));
        }
    }
    let targets = parsed.get("target").and_then(toml::Value::as_table);
    let per_target = targets
        .into_iter()
        .flat_map(toml::Table::values)
        .filter_map(toml::Value::as_table);
    for owner in std::iter::once(&parsed).chain(per_target) {
        for table in TABLES {
            let dependencies = owner.get(*table).and_then(toml::Value::as_table);
            for (name, value) in dependencies.into_iter().flatten() {
                if !inherits(Some(value)) {
                    breaches.push(breach(format!(
                        "{name} in [{table}] names its own version; put it into the root's \
                         [workspace.dependencies]"
                    )));
                }
            }
        }
    }
    breaches
}

fn inherits(value: Option<&toml::Value>) -> bool {
    value
        .and_then(|value| value.get("workspace"))
        .and_then(toml::Value::as_bool)
        == Some(true)
}

#[cfg(test)]
mod tests {
    use super::super::model_house::file;
    use super::*;

    const GOOD: &str = r#"
[package]
name = "aami-model"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
publish.workspace = true

[lints]
workspace = true

[dependencies]
serde.workspace = true
utoipa = { workspace = true, optional = true }
"#;

    fn broken(text: &str) -> Vec<String> {
        let found = check_one(&file("crates/aami-model/Cargo.toml", text));
        found.into_iter().map(|breach| breach.what).collect()
    }

    #[test]
    fn a_manifest_that_inherits_is_kept() {
        assert_eq!(broken(GOOD), [""; 0]);
    }

    #[test]
    fn lints_of_its_own_are_a_breach() {
        let found = broken(&GOOD.replace(
            "[lints]\nworkspace = true",
            "[lints.rust]\nunsafe_code = \"allow\"",
        ));
        assert_eq!(found, ["`[lints] workspace = true` is missing"]);
    }

    #[test]
    fn an_edition_of_its_own_is_a_breach() {
        let found = broken(&GOOD.replace("edition.workspace = true", "edition = \"2021\""));
        assert_eq!(found, ["`edition.workspace = true` is missing in [package]"]);
    }

    #[test]
    fn a_version_of_its_own_is_a_breach_in_every_table() {
        for table in [
            "dev-dependencies",
            "build-dependencies",
            "target.'cfg(unix)'.dependencies",
        ] {
            let found = broken(&format!("{GOOD}\n[{table}]\nnix = \"0.30\"\n"));
            assert_eq!(found.len(), 1, "{table}: {found:?}");
            assert!(found[0].starts_with("nix in ["), "{found:?}");
        }
    }

    #[test]
    fn a_missing_manifest_is_a_breach() {
        let house = super::super::model_house::with_files(&[]);
        assert_eq!(check(&house).len(), house.packages.len());
    }
}
