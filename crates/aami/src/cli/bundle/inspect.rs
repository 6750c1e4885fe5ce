//! `aami bundle inspect`: what a bundle says is in it. Reads its manifest and nothing else, and judges nothing.

use std::path::PathBuf;

use aami_model::Exit;
use aami_plans::bundle;
use clap::Args;

use super::contents::{self, Signature};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::screen::Format;
use crate::cli::surroundings::Surroundings;

/// Show what a bundle says is in it; nothing is verified
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami bundle inspect aami-offline.tar.zst
  aami bundle inspect aami-offline.tar.zst -o json")]
pub(crate) struct Inspect {
    /// The bundle, or the folder it was unpacked into
    bundle: PathBuf,
    #[command(flatten)]
    output: Output,
}

impl Inspect {
    pub(crate) const fn format(&self) -> Format {
        self.output.format()
    }

    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let found = bundle::inspect(&self.bundle)?;
        let signature = if found.has_signature {
            Signature::NotJudged
        } else {
            Signature::Absent
        };
        let mut screen = self.output.screen(surroundings);
        contents::show(&mut screen, &self.bundle, &found.manifest, signature)?;
        Ok(Exit::Ok)
    }
}
