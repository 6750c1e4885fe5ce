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
        Self::of("node_exporter", &version, &[("node_exporter", binary)])
    }

    /// Debian's Prometheus, as it runs on this machine's release.
    pub fn prometheus() -> Result<Self> {
        let tools = ["prometheus", "promtool"];
        Self::of_package("prometheus", "prometheus", &tools.map(|name| (name, name)))
    }

    /// Debian's Alertmanager, as it runs on this machine's release.
    pub fn alertmanager() -> Result<Self> {
        let tools = [("alertmanager", "prometheus-alertmanager"), ("amtool", "amtool")];
        Self::of_package("alertmanager", "prometheus-alertmanager", &tools)
    }

    fn of_package(name: &str, package: &str, programs: &[(&str, &str)]) -> Result<Self> {
        let folder = cache::packages(None, &[package])?.join("usr/bin");
        let programs: Vec<(&str, PathBuf)> = programs
            .iter()
            .map(|(program, file)| (*program, folder.join(file)))
            .collect();
        let mut ask = Command::new(&programs[0].1);
        let said = tool::output(ask.arg("--version"))?;
        // `prometheus, version 2.42.0+ds (branch: ...`
        let text = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
        let version = text
            .split_whitespace()
            .skip_while(|word| *word != "version")
            .nth(1);
        let version = version.with_context(|| format!("{name} does not say its version: {text}"))?;
        let version = version.split(['+', '~', '-', ',']).next().unwrap_or(version);
        Self::of(name, version, &programs)
    }

    /// Programs in an archive as a publisher packs them.
    pub fn of(name: &str, version: &str, programs: &[(&str, PathBuf)]) -> Result<Self> {
        Self::with(name, version, programs, &[])
    }

    /// The same, with other files that the programs need beside them. Names are paths.
    pub fn with(
        name: &str,
        version: &str,
        programs: &[(&str, PathBuf)],
        beside: &[(&str, &str)],
    ) -> Result<Self> {
        let stem = format!("{name}-{version}.linux-{}", architecture());
        // The same name with another content is another archive.
        let mut sum = Sha256::new();
        for (_, program) in programs {
            sum.update(fs::read(program).with_context(|| format!("cannot read {}", program.display()))?);
        }
        for (file, text) in beside {
            sum.update(format!("{file}\n{text}\n"));
        }
        let recipe = format!("tar, sorted, no owners, gzip 6, {}", cache::hex(&sum.finalize()));
        let folder = cache::entry(&format!("packed-{stem}"), &recipe, |path| {
            let tree = path.join(&stem);
            fs::create_dir_all(&tree)?;
            let room = |file: &str| {
                let path = tree.join(file);
                fs::create_dir_all(path.parent().unwrap_or(&tree)).map(|()| path)
            };
            for (program, from) in programs {
                fs::copy(from, room(program)?).with_context(|| format!("cannot copy {program}"))?;
            }
            for (file, text) in beside {
                fs::write(room(file)?, text).with_context(|| format!("cannot write {file}"))?;
            }
            fs::write(tree.join("LICENSE"), "See the publisher's page.\n")?;
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
        })?;
        let path = folder.join(format!("{stem}.tar.gz"));
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self {
            name: name.to_owned(),
            version: version.to_owned(),
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
