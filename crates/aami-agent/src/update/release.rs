//! Fetching a release's agent from the control plane, and judging it: by the signature of the key that lies on this
//! host, by its version, by its SHA-256, and by its processor. What fails any of it is never placed.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use aami_api::client::Trust;
use aami_inventory::Arch;
use aami_model::code;
use aami_plans::components::Archive;
use aami_plans::download::{Access, DownloadError, Downloader, Format, Wanted};
use aami_plans::extract::{self, Program};
use aami_plans::release::{self, Demand, PublicKey, SIGNATURE, SUMS};

use super::Wrong;

/// The largest list of a release, and the largest signature, in bytes.
const LARGEST_TEXT: u64 = 1024 * 1024;
/// The largest agent taken, in bytes.
const LARGEST_AGENT: u64 = 128 * 1024 * 1024;
/// No public key is longer.
const LARGEST_KEY: u64 = 4096;

/// The processor this program was built for.
const ARCH: Arch = if cfg!(target_arch = "aarch64") {
    Arch::Arm64
} else {
    Arch::Amd64
};

/// Where a release comes from.
pub(super) struct Source<'a> {
    /// The control plane's address.
    pub(super) server: &'a str,
    /// Whose certificates to believe there.
    pub(super) trust: &'a Trust,
    /// Who fetches.
    pub(super) downloader: &'a Downloader,
}

/// Reads the key of who signs releases. A file that others than root could have written is not believed.
pub(super) fn key(path: &Path) -> Result<PublicKey, Wrong> {
    let missing = |why: String| Wrong::new(code::UPDATE_KEY_MISSING, format!("{}: {why}", path.display()));
    let file = File::open(path).map_err(|error| missing(error.to_string()))?;
    let meta = file.metadata().map_err(|error| missing(error.to_string()))?;
    let own = rustix::process::geteuid().as_raw();
    if !meta.is_file() || meta.mode() & 0o022 != 0 || ![0, own].contains(&meta.uid()) {
        return Err(missing(
            "it must be a file of root's that nobody else can write".to_owned(),
        ));
    }
    let mut text = String::new();
    file.take(LARGEST_KEY)
        .read_to_string(&mut text)
        .map_err(|error| missing(error.to_string()))?;
    PublicKey::read(&text).map_err(|error| missing(error.to_string()))
}

/// Fetches the agent of a release into `folder`, which is nobody else's, judged by `key`.
pub(super) fn fetch(
    source: &Source<'_>,
    key: &PublicKey,
    version: &str,
    folder: &Path,
) -> Result<Program, Wrong> {
    let stored =
        |error: io::Error| Wrong::new(code::COMMAND_FAILED, format!("{}: {error}", folder.display()));
    // Nothing of an earlier try is looked at.
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(stored(error)),
        _ => {}
    }
    let (signed, parts) = (folder.join("signed"), folder.join("parts"));
    fs::create_dir_all(&signed).map_err(stored)?;
    fs::create_dir_all(&parts).map_err(stored)?;

    let access = Access {
        trust: source.trust.clone(),
        credential: None,
    };
    let at = format!("{}/dist/{version}", source.server);
    let wrong = |error: DownloadError| Wrong::new(error.code(), error.to_string());
    for (name, absent) in [
        (SUMS, code::RELEASE_MISSING),
        (SIGNATURE, code::SIGNATURE_MISSING),
    ] {
        let url = format!("{at}/{name}");
        let text = source
            .downloader
            .text(&url, &access, LARGEST_TEXT)
            .map_err(wrong)?;
        let text = text.ok_or_else(|| Wrong::new(absent, format!("{url}: there is no such file")))?;
        fs::write(signed.join(name), text).map_err(stored)?;
    }
    let demand = Demand {
        key,
        version: Some(version),
        partial: true,
    };
    let release =
        release::verify(&signed, demand).map_err(|error| Wrong::new(error.code(), error.to_string()))?;
    let name = format!("{}/aami-agent", ARCH.name());
    let (_, sha256) = release.file(&name).ok_or_else(|| {
        let message = format!("release {version} has no {name}");
        Wrong::new(code::ARCH_NOT_SUPPORTED, message)
    })?;
    let wanted = Wanted {
        url: &format!("{at}/{name}"),
        access: &access,
        sha256,
        format: Format::Program,
        largest: LARGEST_AGENT,
    };
    let verified = source
        .downloader
        .fetch(&wanted, &parts, &mut |_, _| ControlFlow::Continue(()))
        .map_err(wrong)?;
    extract::program(&verified, Archive::None, "aami-agent", ARCH, &parts)
        .map_err(|error| Wrong::new(error.code(), error.to_string()))
}
