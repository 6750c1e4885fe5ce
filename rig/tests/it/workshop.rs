//! Where offline bundles are made: a machine with everything, and the machines they are carried to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use rig::{Host, Net, Node, Release};

use crate::server_install::stage::load;
use crate::site::{ARCH, built};

/// A mirror as a node has it at home: see [`brings_home`].
pub(crate) const MIRROR_AT_HOME: &str = "http://127.0.0.1:8999";

/// Brings the web server of another host to a node's own loopback: only there, or over https, a mirror may name
/// components of its own.
pub(crate) fn brings_home(node: &Node, mirror: &Host) -> Result<()> {
    node.sh(&format!(
        "systemd-run --quiet --unit=mirror --socket-property=ListenStream=127.0.0.1:8999 \
         /lib/systemd/systemd-socket-proxyd {}:80",
        mirror.address()
    ))?
    .ok()
    .map(drop)
}

/// A machine on which bundles are made.
pub(crate) struct Workshop {
    folder: tempfile::TempDir,
}

impl Workshop {
    /// One with this build's programs and a folder of components, as a site has them.
    pub(crate) fn open() -> Result<Self> {
        let workshop = Self {
            folder: tempfile::Builder::new().prefix("aami-workshop-").tempdir()?,
        };
        load(&mut |path, bytes, _| {
            let path = workshop.at(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
            fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
        })?;
        let programs = workshop.at("root").join(ARCH);
        fs::create_dir(&programs)?;
        for name in ["aami", "aami-agent"] {
            fs::rename(workshop.at("root").join(name), programs.join(name))?;
        }
        Ok(workshop)
    }

    /// Something here.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `aami bundle` here.
    pub(crate) fn bundle(&self, words: &[&str]) -> Result<String> {
        self.types(&format!("aami bundle {}", words.join(" ")))
    }

    /// A signed bundle of everything here, `aami-offline.tar.zst`, and whose it is, `bundle.pub`.
    pub(crate) fn packs(&self) -> Result<()> {
        self.bundle(&["new-key", "bundle.key"])?;
        self.bundle(&["create", "--from", "root", "--key", "bundle.key"])
            .map(drop)
    }

    /// Types a line here, as a person at this machine's shell does.
    pub(crate) fn types(&self, line: &str) -> Result<String> {
        let programs = built("aami")?.with_file_name("");
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("PATH", format!("{}:{path}", programs.display()))
            .env_remove("SOURCE_DATE_EPOCH")
            .output()
            .context("cannot start sh")?;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !output.status.success() {
            bail!("{line}: {}", said(&output.stderr));
        }
        Ok(said(&output.stdout))
    }

    /// A machine that has this build's program, at `program`, a bundle and the key of whoever made it, and nothing else.
    pub(crate) fn machine(&self, net: &Net, name: &str, program: &str) -> Result<Node> {
        let node = self.bare_machine(net, name, &["aami-offline.tar.zst"])?;
        let built = self.at("root").join(ARCH).join("aami");
        node.write(program, &fs::read(built)?, 0o755)?;
        Ok(node)
    }

    /// A machine that has these bundles in `/root`, with the key of whoever made them, and nothing of AAMI.
    pub(crate) fn bare_machine(&self, net: &Net, name: &str, bundles: &[&str]) -> Result<Node> {
        let node = Node::boot(net, Release::Bookworm, name)?;
        let put = |from: PathBuf, to: &str, mode| node.write(to, &fs::read(from)?, mode);
        for bundle in bundles {
            put(self.at(bundle), &format!("/root/{bundle}"), 0o644)?;
        }
        put(self.at("bundle.pub"), "/root/bundle.pub", 0o644)?;
        // Debian's Alertmanager looks for these where its package has them; the publisher's carries them inside.
        let templates = "usr/share/prometheus/alertmanager";
        for entry in fs::read_dir(self.at(templates))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            put(
                self.at(templates).join(&name),
                &format!("/{templates}/{name}"),
                0o644,
            )?;
        }
        Ok(node)
    }
}
