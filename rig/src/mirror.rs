//! Components packed the way their publishers pack them, for nodes to download.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::engines::{Nginx, Site, oldest_node_exporter};
use crate::{Place, cache, tool};

/// One packed component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Its name, e.g. `node_exporter`.
    pub name: String,
    /// The publisher's version.
    pub version: String,
    /// The file, e.g. `node_exporter-1.1.2.linux-amd64.tar.gz`.
    pub path: PathBuf,
    /// The file's SHA-256, in hexadecimal digits.
    pub sha256: String,
}

impl Packed {
    /// A node_exporter that runs on every [`Release`](crate::Release).
    pub fn node_exporter() -> Result<Self> {
        let (binary, version) = oldest_node_exporter()?;
        let stem = format!("node_exporter-{version}.linux-{}", architecture());
        let folder = cache::entry(
            &format!("packed-{stem}"),
            "tar, sorted, no owners, gzip 6",
            |path| {
                let tree = path.join(&stem);
                fs::create_dir_all(&tree)?;
                fs::copy(&binary, tree.join("node_exporter")).context("cannot copy node_exporter")?;
                fs::write(tree.join("LICENSE"), "Apache-2.0, see the publisher's page.\n")?;
                let mut tar = Command::new("tar");
                tar.args([
                    "--create",
                    "--sort=name",
                    "--owner=0",
                    "--group=0",
                    "--numeric-owner",
                    "--mtime=@1600000000",
                ])
                .args(["--use-compress-program=gzip -n -6", "--file"])
                .arg(path.join(format!("{stem}.tar.gz")))
                .arg("--directory")
                .arg(path)
                .arg(&stem);
                tool::run(&mut tar)?;
                fs::remove_dir_all(&tree).context("cannot tidy up")
            },
        )?;
        let path = folder.join(format!("{stem}.tar.gz"));
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self {
            name: "node_exporter".to_owned(),
            version,
            path,
            sha256: cache::hex(&Sha256::digest(bytes)),
        })
    }

    /// Its file's name.
    pub fn file_name(&self) -> String {
        self.path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }
}

/// A web server that hands out components.
#[derive(Debug)]
pub struct Mirror<'net> {
    nginx: Nginx<'net>,
    folder: tempfile::TempDir,
}

impl<'net> Mirror<'net> {
    /// Starts an empty one; `guard` may put credentials before it or bend its answers.
    pub fn start(place: impl Into<Place<'net>>, guard: impl FnOnce(Site) -> Site) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("aami-rig-mirror-").tempdir()?;
        let nginx = Nginx::start(place, &guard(Site::of(folder.path())))?;
        Ok(Self { nginx, folder })
    }

    /// Hands out a component, with its publisher's list of checksums beside it.
    pub fn add(&self, packed: &Packed) -> Result<()> {
        fs::copy(&packed.path, self.folder.path().join(packed.file_name()))
            .with_context(|| format!("cannot copy {}", packed.path.display()))?;
        self.write(
            "sha256sums.txt",
            format!("{}  {}\n", packed.sha256, packed.file_name()).as_bytes(),
        )
    }

    /// Hands out a file.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        self.nginx.url()
    }

    /// What was asked of it.
    pub fn log(&self) -> String {
        self.nginx.log()
    }
}

/// This machine's architecture, in the words publishers use.
const fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    }
}
