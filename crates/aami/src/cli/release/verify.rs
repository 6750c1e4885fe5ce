//! `aami release verify`: whether a folder is a release, whole and signed. `install.sh` asks it; it needs no control
//! plane and no network.

use std::fs;
use std::path::{Path, PathBuf};

use aami_model::Exit;
use aami_plans::release::{self, Demand, PublicKey};
use clap::Args;
use serde::Serialize;

use super::super::failure::Failure;
use super::super::output::Output;
use super::super::screen::Format;
use super::super::surroundings::Surroundings;
use super::super::table::Table;

/// Check a release folder: its signature, its version, every file
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami release verify ./0.1.0 --public-key minisign.pub
  aami release verify ./0.1.0 --public-key RWQf6LRCGA9i53ml... --version 0.1.0")]
pub(crate) struct Verify {
    /// The folder with SHA256SUMS and SHA256SUMS.minisig
    folder: PathBuf,
    /// Who has to have signed it: a minisign public key, or a file with one
    #[arg(long, value_name = "KEY")]
    public_key: String,
    /// The version it has to be
    #[arg(long, value_name = "V")]
    version: Option<String>,
    /// Do not miss files that are not there; those that are have to be right
    #[arg(long)]
    partial: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Shown {
    folder: PathBuf,
    version: String,
    files: Vec<File>,
}

#[derive(Serialize)]
struct File {
    name: String,
    sha256: String,
}

impl Verify {
    pub(crate) const fn format(&self) -> Format {
        self.output.format()
    }

    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let key = key(&self.public_key)?;
        let demand = Demand {
            key: &key,
            version: self.version.as_deref(),
            partial: self.partial,
        };
        let release = release::verify(&self.folder, demand)?;
        let shown = Shown {
            version: release.version().to_owned(),
            files: release
                .files()
                .map(|(name, sum)| File {
                    name: name.to_owned(),
                    sha256: sum.to_string(),
                })
                .collect(),
            folder: self.folder,
        };
        self.output.screen(surroundings).show(&shown, |_| {
            Table::of_sentence(format!(
                "release {} is signed and whole: {} files",
                shown.version,
                shown.files.len()
            ))
        })?;
        Ok(Exit::Ok)
    }
}

/// The key itself, or a file with it.
pub(crate) fn key(text: &str) -> Result<PublicKey, Failure> {
    match PublicKey::read(text) {
        Ok(key) => Ok(key),
        Err(error) => match fs::read_to_string(Path::new(text)) {
            Ok(text) => Ok(PublicKey::read(&text)?),
            Err(_) => Err(error.into()),
        },
    }
}
