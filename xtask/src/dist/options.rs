//! The words behind `cargo xtask dist`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

/// What is asked for.
pub(super) enum Wish {
    /// A key pair; the secret one goes here.
    NewKey(PathBuf),
    /// A release folder.
    Release(Options),
}

/// How the folder is made.
pub(super) struct Options {
    /// For which processors.
    pub(super) architectures: Vec<String>,
    /// Where releases lie beside one another.
    pub(super) out: PathBuf,
    /// The secret key's file.
    pub(super) key: PathBuf,
    /// Programs that were built before, in a folder per processor.
    pub(super) binaries: Option<PathBuf>,
    /// Archives to take along, with a `components.toml`.
    pub(super) components: Option<PathBuf>,
    /// Where `install.sh` looks unless it is told.
    pub(super) base_url: String,
}

/// Reads them.
pub(super) fn read(root: &Path, words: &[&str]) -> Result<Wish> {
    let mut options = Options {
        architectures: vec!["amd64".to_owned()],
        out: root.join("target/release-folder"),
        key: PathBuf::new(),
        binaries: None,
        components: None,
        base_url: String::new(),
    };
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let mut value = || {
            rest.next()
                .copied()
                .with_context(|| format!("{word} needs a value"))
        };
        match *word {
            "--new-key" => return Ok(Wish::NewKey(value()?.into())),
            "--arch" => {
                options.architectures = value()?.split(',').map(str::to_owned).collect();
            }
            "--out" => options.out = value()?.into(),
            "--key" => options.key = value()?.into(),
            "--binaries" => options.binaries = Some(value()?.into()),
            "--components" => options.components = Some(value()?.into()),
            "--base-url" => value()?.trim_end_matches('/').clone_into(&mut options.base_url),
            other => bail!("dist knows no {other}"),
        }
    }
    for arch in &options.architectures {
        ensure!(
            ["amd64", "arm64"].contains(&arch.as_str()),
            "AAMI is built for amd64 and arm64, not for {arch:?}"
        );
    }
    ensure!(
        !options.key.as_os_str().is_empty(),
        "a release is signed: name the secret key with --key FILE, or make one with --new-key FILE"
    );
    Ok(Wish::Release(options))
}
