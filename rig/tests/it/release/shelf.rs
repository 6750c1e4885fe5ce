//! The folder that a web server serves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use rig::{Host, Packed};

use crate::site::{ARCH, built, catalogue, root};

/// The version that is built here.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Releases beside one another, and who signed them.
pub(super) struct Shelf {
    pub(super) folder: PathBuf,
    key: PathBuf,
    components: PathBuf,
}

impl Shelf {
    /// Makes a key and a release of what was built, with one component to take along.
    pub(super) fn fill(host: &Host) -> Result<Self> {
        let components = host.folder().join("components");
        fs::create_dir(&components)?;
        let packed = Packed::node_exporter()?;
        fs::copy(&packed.path, components.join(packed.file_name()))?;
        fs::write(components.join("components.toml"), catalogue(&packed))?;
        Self::fill_with(host, components)
    }

    /// The same, with a folder of components.
    pub(super) fn fill_with(host: &Host, components: PathBuf) -> Result<Self> {
        let work = host.folder();
        let shelf = Self {
            folder: work.join("shelf"),
            key: work.join("key"),
            components,
        };
        shelf.make_key(&shelf.key)?;
        shelf.release_signed_by(&shelf.key)?;
        Ok(shelf)
    }

    pub(super) fn make_key(&self, path: &Path) -> Result<()> {
        xtask(&["--new-key".as_ref(), path])
    }

    /// Makes the release again, with another key.
    pub(super) fn release_signed_by(&self, key: &Path) -> Result<()> {
        let built = self.programs()?;
        xtask(&[
            "--key".as_ref(),
            key,
            "--out".as_ref(),
            &self.folder,
            "--binaries".as_ref(),
            &built,
            "--components".as_ref(),
            &self.components,
            "--arch".as_ref(),
            ARCH.as_ref(),
            "--base-url".as_ref(),
            "http://web".as_ref(),
        ])
    }

    /// The folder of both programs, static: the agent as it is shipped, `aami` as it is built for tests.
    fn programs(&self) -> Result<PathBuf> {
        let folder = self.folder.with_file_name("programs");
        fs::create_dir_all(folder.join(ARCH))?;
        for (from, program, target) in [("dist", "aami-agent", "agent"), ("trial", "aami", "trial")] {
            let built = root().join("target").join(from).join(ARCH).join(program);
            fs::copy(&built, folder.join(ARCH).join(program))
                .with_context(|| format!("no static {program}; `make {target}` builds it"))?;
        }
        Ok(folder)
    }

    /// The release's own folder.
    pub(super) fn release(&self) -> PathBuf {
        self.folder.join(VERSION)
    }

    /// The public key, one line.
    pub(super) fn public_key(&self) -> Result<String> {
        let text = fs::read_to_string(self.key.with_extension("pub"))?;
        Ok(text.lines().nth(1).context("no key in its file")?.to_owned())
    }
}

/// `scripts/install-server.sh` of the source tree.
pub(super) fn generic_script() -> PathBuf {
    root().join("scripts/install-server.sh")
}

fn xtask(words: &[&Path]) -> Result<()> {
    let output = Command::new(built("xtask")?)
        .arg("dist")
        .args(words)
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output()
        .context("cannot start xtask")?;
    ensure!(
        output.status.success(),
        "xtask dist: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
