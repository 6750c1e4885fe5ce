//! `aami bundle verify`: whether a bundle is the one that was made, to the last byte, and by whom.

use std::path::{Path, PathBuf};

use aami_model::Exit;
use aami_plans::bundle;
use clap::Args;
use serde::Serialize;

use super::{Watch, size};
use crate::cli::failure::Failure;
use crate::cli::offline::trust;
use crate::cli::output::Output;
use crate::cli::screen::Format;
use crate::cli::surroundings::Surroundings;
use crate::cli::table::Table;

/// Verify a bundle: its signature, and every byte
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami bundle verify aami-offline.tar.zst --key bundle.pub
  aami bundle verify /mnt/aami-offline --key RWQf6LRCGA9i53ml...

Exit codes: 0 it is the one that was made, 10 it is not.")]
pub(crate) struct Verify {
    /// The bundle, or the folder it was unpacked into
    bundle: PathBuf,
    /// Who has to have signed it: a minisign public key, or a file with one [/etc/aami/release.pub]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Ask for no signature: damage is still found, a bundle that somebody else made is not
    #[arg(long, conflicts_with = "key")]
    unsigned: bool,
    #[command(flatten)]
    output: Output,
}

/// What was found, to programs.
#[derive(Serialize)]
struct Shown<'a> {
    bundle: &'a Path,
    /// Whether a signature was asked for, and is right.
    signed: bool,
    version: &'a str,
    architectures: Vec<&'static str>,
    files: usize,
    size: u64,
}

impl Verify {
    pub(crate) const fn format(&self) -> Format {
        self.output.format()
    }

    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let trust = trust(self.key.as_deref(), self.unsigned)?;
        let bundle = bundle::Bundle::open(&self.bundle, &trust)?;
        let is_signed = bundle.is_signed();
        let mut watch = Watch::new("verifying", self.output.manner.shows_progress())?;
        let manifest = bundle.verify(&mut watch.told())?;
        watch.end();
        let how = if is_signed {
            "is signed and whole"
        } else {
            "is whole; who made it was not asked"
        };
        let shown = Shown {
            bundle: &self.bundle,
            signed: is_signed,
            version: &manifest.version,
            architectures: manifest.architectures.iter().map(|arch| arch.name()).collect(),
            files: manifest.entries.len(),
            size: manifest.total(),
        };
        let line = format!(
            "{} {how}: AAMI {} for {}, {} files, {}",
            self.bundle.display(),
            manifest.version,
            manifest.architecture_names(),
            shown.files,
            size(shown.size)
        );
        self.output
            .screen(surroundings)
            .show(&shown, |_| Table::of_sentence(line))?;
        Ok(Exit::Ok)
    }
}
