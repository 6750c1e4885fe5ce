//! Prometheus' program, out of the component cache into the data folder.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use aami_inventory::Arch;
use aami_model::code;
use aami_plans::components::{Build, Checksum};
use aami_plans::download::{Downloader, Settings};
use aami_plans::extract;
use aami_plans::obtain::{Source, catalogue, obtain};

use super::Places;
use crate::cli::failure::Failure;
use crate::cli::random::random;
use crate::cli::screen::Screen;
use crate::cli::secret::{make_folder, written};
use crate::cli::surroundings::Surroundings;

const NAME: &str = "prometheus";

/// The program, and what it is.
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) version: String,
}

/// Finds Prometheus in the data folder, or takes it there: from the component cache, else from its
/// publisher. What was taken once is known by its archive's checksum and not taken again.
pub(super) fn prometheus(
    places: &Places,
    surroundings: &Surroundings,
    screen: &mut Screen,
) -> Result<Program, Failure> {
    let arch = Arch::parse(std::env::consts::ARCH).ok_or_else(|| {
        Failure::found(
            code::COMPONENT_MISSING,
            format!("no component is built for {}", std::env::consts::ARCH),
        )
    })?;
    let downloader = Downloader::new(Settings::new(surroundings.proxies.clone(), random));
    let sources = [Source::Folder(places.components.clone()), Source::Publisher];
    let catalogue = catalogue(&sources, &downloader)?;
    let (component, build) = catalogue
        .build(NAME, arch)
        .map_err(aami_plans::obtain::ObtainError::from)?;
    let folder = places
        .data
        .join("programs")
        .join(folder_name(&component.version, build));
    let program = Program {
        path: folder.join(NAME),
        version: component.version.clone(),
    };
    if program.path.is_file() {
        return Ok(program);
    }
    make_folder(&folder).map_err(written(&folder))?;
    screen.note(&format!("aami: unpacking Prometheus {}", component.version));
    let obtained = obtain(
        &downloader,
        component,
        build,
        arch,
        &sources,
        &folder,
        &mut |_, _| ControlFlow::Continue(()),
    )?;
    let inside = build.programs.get(NAME).ok_or_else(|| {
        Failure::found(
            code::CATALOGUE_INVALID,
            format!("the catalogue names no program {NAME:?} of {NAME}"),
        )
    })?;
    let extracted = extract::program(&obtained.verified, component.archive, inside, arch, &folder)?;
    // A name beside it first, so that the program is there whole or not at all.
    let draft = folder.join("new");
    let placed = fs::copy(extracted.path(), &draft)
        .and_then(|_| fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)))
        .and_then(|()| fs::rename(&draft, &program.path))
        .and_then(|()| fs::remove_file(obtained.verified.path()));
    placed.map_err(written(&program.path))?;
    Ok(program)
}

/// `prometheus-2.42.0-5cb49bf9dacb`: another archive of the same version is another program.
fn folder_name(version: &str, build: &Build) -> String {
    match &build.checksum {
        Checksum::Pinned(sum) => format!("{NAME}-{version}-{:.12}", sum.to_string()),
        Checksum::Published(_) => format!("{NAME}-{version}"),
    }
}
