//! `aami bundle verify`: whether a bundle is the one that was made, to the last byte, and by whom.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use aami_model::Exit;
use aami_plans::bundle;
use clap::Args;

use super::{Watch, size};
use crate::cli::failure::Failure;
use crate::cli::offline::trust;
use crate::cli::screen::{Format, Screen};

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
}

impl Verify {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let trust = trust(self.key.as_deref(), self.unsigned)?;
        let bundle = bundle::Bundle::open(&self.bundle, &trust)?;
        let is_signed = bundle.is_signed();
        let mut watch = Watch::new("verifying", std::io::stderr().is_terminal())?;
        let manifest = bundle.verify(&mut watch.told())?;
        watch.end();
        let how = if is_signed {
            "is signed and whole"
        } else {
            "is whole; who made it was not asked"
        };
        Screen::new(Format::Table).write(&format!(
            "{} {how}: AAMI {} for {}, {} files, {}\n",
            self.bundle.display(),
            manifest.version,
            manifest.architecture_names(),
            manifest.entries.len(),
            size(manifest.total())
        ))?;
        Ok(Exit::Ok)
    }
}
