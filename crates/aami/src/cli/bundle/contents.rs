//! What a bundle says is in it, for people and for programs.

use std::path::Path;

use aami_model::Timestamp;
use aami_plans::bundle::{Entry, Manifest};
use serde::Serialize;

use super::size;
use crate::cli::failure::Failure;
use crate::cli::screen::{Format, Screen};
use crate::cli::table::Table;

/// Why the signature of a bundle is as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Signature {
    /// There is one; nobody looked whose.
    NotJudged,
    /// There is none.
    Absent,
}

#[derive(Serialize)]
struct Shown<'a> {
    bundle: &'a Path,
    version: &'a str,
    created: Option<Timestamp>,
    architectures: Vec<&'static str>,
    signature: Signature,
    size: u64,
    entries: &'a [Entry],
}

/// Shows all of it.
pub(super) fn show(
    screen: &mut Screen,
    bundle: &Path,
    manifest: &Manifest,
    signature: Signature,
) -> Result<(), Failure> {
    let shown = Shown {
        bundle,
        version: &manifest.version,
        created: manifest.created,
        architectures: manifest.architectures.iter().map(|arch| arch.name()).collect(),
        signature,
        size: manifest.total(),
        entries: &manifest.entries,
    };
    if screen.format().is_for_programs() {
        return screen.show(&shown, |_| Table::of_one());
    }
    let mut about = Table::of_one();
    about.line("AAMI", &manifest.version);
    about.line("For", manifest.architecture_names());
    about.line(
        "Made",
        manifest
            .created
            .map_or_else(String::new, |created| created.to_string()),
    );
    about.line(
        "Signature",
        match signature {
            Signature::NotJudged => "there; `aami bundle verify` judges it",
            Signature::Absent => "none",
        },
    );
    about.line(
        "Unpacked",
        format!("{}, {} files", size(manifest.total()), manifest.entries.len()),
    );
    screen.write(&format!("{about}\n"))?;
    let is_wide = screen.format() == Format::Wide;
    screen.write(&table(&manifest.entries, is_wide).to_string())
}

fn table(entries: &[Entry], is_wide: bool) -> Table {
    let mut headings = vec!["PATH", "KIND", "VERSION", "ARCH", "SIZE", "LICENCE"];
    if is_wide {
        headings.extend(["SOURCE", "SHA-256"]);
    }
    let mut table = Table::new(&headings, "nothing");
    for entry in entries {
        let mut cells = vec![
            entry.path.clone(),
            entry.kind.name().to_owned(),
            entry.version.clone(),
            entry.arch.map_or("any", |arch| arch.name()).to_owned(),
            size(entry.size),
            entry.license.clone(),
        ];
        if is_wide {
            cells.extend([entry.source.clone(), entry.sha256.to_string()]);
        }
        table.row(cells);
    }
    table
}
