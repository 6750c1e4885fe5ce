//! Installing without internet: the same flags wherever something is installed from a bundle.
//!
//! [`OfflineFlags::open`] judges the bundle that was named; whoever wants it for the time of one command makes an
//! [`Unpacked`] of it, whoever keeps it places it.

use std::path::{Path, PathBuf};

use aami_inventory::Arch;
use aami_model::code;
use aami_plans::bundle::{Bundle, Placed, Trust};
use aami_plans::node::RELEASE_KEY;
use clap::Args;

use super::bundle::Watch;
use super::failure::Failure;
use super::trusted;

/// Where a bundle lies unpacked while it is installed from: on a disk, since it is large.
const ROOMY: &str = "/var/tmp";

/// What the command line says about a bundle.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Without internet")]
pub(crate) struct OfflineFlags {
    /// An offline bundle, or the folder it was unpacked into: everything comes from it and nobody is asked
    #[arg(long, value_name = "BUNDLE")]
    offline: Option<PathBuf>,
    /// Who has to have signed it: a minisign public key, or a file with one [/etc/aami/release.pub]
    #[arg(long, value_name = "KEY", requires = "offline")]
    bundle_key: Option<String>,
    /// Take it without a signature: damage is still found, a bundle that somebody else made is not
    #[arg(long, requires = "offline", conflicts_with = "bundle_key")]
    unsigned_bundle: bool,
}

/// A bundle that lies unpacked as long as this value lives.
pub(crate) struct Unpacked {
    placed: Placed,
    _folder: tempfile::TempDir,
}

impl Unpacked {
    /// Unpacks a bundle for the time of one command; `shows` says whether a person watches.
    pub(crate) fn of(bundle: Bundle, shows: bool) -> Result<Self, Failure> {
        let failed = |source| Failure::File {
            path: ROOMY.into(),
            doing: "written",
            source,
        };
        let folder = tempfile::Builder::new()
            .prefix("aami-bundle-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .tempdir_in(ROOMY)
            .map_err(failed)?;
        let mut watch = Watch::new("unpacking", shows)?;
        let placed = bundle.place(&folder.path().join("bundle"), arch()?, &mut watch.told())?;
        watch.end();
        Ok(Self {
            placed,
            _folder: folder,
        })
    }

    /// Where everything lies.
    pub(crate) const fn placed(&self) -> &Placed {
        &self.placed
    }
}

impl OfflineFlags {
    /// Whether a bundle was named.
    pub(crate) const fn is_given(&self) -> bool {
        self.offline.is_some()
    }

    /// The bundle that was named, where it may be installed from by this program on this machine.
    pub(crate) fn open(&self) -> Result<Option<Bundle>, Failure> {
        let Some(path) = &self.offline else {
            return Ok(None);
        };
        let trust = trust(self.bundle_key.as_deref(), self.unsigned_bundle)?;
        let bundle = Bundle::open(path, &trust)?;
        bundle.holds(arch()?)?;
        let (theirs, ours) = (&bundle.manifest().version, env!("CARGO_PKG_VERSION"));
        if theirs != ours {
            return Err(Failure::found(
                code::BUNDLE_OTHER_VERSION,
                format!("{} is of AAMI {theirs}, and this is AAMI {ours}", path.display()),
            ));
        }
        Ok(Some(bundle))
    }
}

/// This machine's processor.
pub(crate) fn arch() -> Result<Arch, Failure> {
    Arch::parse(std::env::consts::ARCH).ok_or_else(|| {
        let what = format!("nothing is built for {}", std::env::consts::ARCH);
        Failure::found(code::COMPONENT_MISSING, what)
    })
}

/// Whose signature is believed: of the key that was named, else of the one that root keeps on this machine.
pub(crate) fn trust(key: Option<&str>, unsigned: bool) -> Result<Trust, Failure> {
    if unsigned {
        return Ok(Trust::Unsigned);
    }
    let key = match key {
        Some(text) => Some(text.to_owned()),
        None if Path::new(RELEASE_KEY).exists() => {
            trusted::check(Path::new(RELEASE_KEY))?;
            Some(RELEASE_KEY.to_owned())
        }
        None => None,
    };
    let keys = key.iter().map(|text| super::release::key(text));
    Ok(Trust::Signed(keys.collect::<Result<_, _>>()?))
}
