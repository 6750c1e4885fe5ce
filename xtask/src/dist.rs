//! The release folder: what a web server needs to hold so that `install.sh` can install from it.
//!
//! ```text
//! OUT/install.sh, OUT/latest          the newest release's script, and its version
//! OUT/VERSION/install.sh
//! OUT/VERSION/ARCH/aami, aami-agent   static
//! OUT/VERSION/aami_VERSION_ARCH.deb
//! OUT/VERSION/components/             optional: archives, and a components.toml that names them
//! OUT/VERSION/minisign.pub
//! OUT/VERSION/SHA256SUMS              every file above it, with its checksum
//! OUT/VERSION/SHA256SUMS.minisig      signs the list, and the version
//! ```
//!
//! The same programs, key and time give the same bytes. The time is `SOURCE_DATE_EPOCH`, else the last commit's.

mod components;
mod deb;
mod key;
mod options;
mod programs;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use crate::scripts;
use key::Key;
use options::{Options, Wish};

/// The version that is released: the workspace's.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Does what the words behind `dist` ask for.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<bool> {
    match options::read(root, words)? {
        Wish::NewKey(path) => {
            let public = key::make(&path)?;
            println!("secret key: {} (keep it; it is not encrypted)", path.display());
            println!("public key: {}", public.display());
        }
        Wish::Release(options) => {
            let folder = write(root, &options)?;
            println!("release {VERSION}: {}", folder.display());
        }
    }
    Ok(true)
}

/// Writes the folder and says where it is. It appears whole or not at all.
fn write(root: &Path, options: &Options) -> Result<PathBuf> {
    let key = Key::read(&options.key)?;
    let time = time(root)?;
    let programs = match &options.binaries {
        Some(folder) => folder.clone(),
        None => programs::build(root, &options.architectures)?,
    };
    fs::create_dir_all(&options.out).with_context(|| format!("cannot make {}", options.out.display()))?;
    let work = tempfile::Builder::new()
        .prefix(".release-")
        .tempdir_in(&options.out)
        .context("no folder to work in")?;
    let draft = work.path().join(VERSION);

    let mut sums = Vec::new();
    let mut add = |name: &str, bytes: &[u8], mode: u32| -> Result<()> {
        let path = draft.join(name);
        place(&path, bytes, mode)?;
        sums.push((name.to_owned(), checksum(bytes)));
        Ok(())
    };
    let mut own = Vec::new();
    for arch in &options.architectures {
        let mut pair = Vec::new();
        for name in programs::NAMES {
            let bytes = programs::read(&programs, arch, name)?;
            add(&format!("{arch}/{name}"), &bytes, 0o755)?;
            pair.push((name, bytes));
        }
        own.push((arch.clone(), checksum(&pair[0].1)));
        let package = deb::package(root, VERSION, arch, &pair, time)?;
        add(&deb::file_name(VERSION, arch), &package, 0o644)?;
    }
    if let Some(folder) = &options.components {
        for (name, bytes) in components::read(folder)? {
            add(&format!("components/{name}"), &bytes, 0o644)?;
        }
    }
    add("minisign.pub", key.public_file().as_bytes(), 0o644)?;
    let install = scripts::install(root, VERSION, &options.base_url, &key.public(), &own)?;
    add("install.sh", install.as_bytes(), 0o755)?;

    sums.sort();
    let list: String = sums
        .iter()
        .map(|(name, sum)| format!("{sum}  {name}\n"))
        .collect();
    place(&draft.join("SHA256SUMS"), list.as_bytes(), 0o644)?;
    let signature = key.sign(list.as_bytes(), &format!("aami {VERSION}"));
    place(&draft.join("SHA256SUMS.minisig"), signature.as_bytes(), 0o644)?;

    let folder = options.out.join(VERSION);
    if folder.exists() {
        fs::rename(&folder, work.path().join("before"))
            .with_context(|| format!("cannot replace {}", folder.display()))?;
    }
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755))?;
    fs::rename(&draft, &folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, bytes, mode) in [
        ("install.sh", install.as_bytes(), 0o755),
        ("latest", format!("{VERSION}\n").as_bytes(), 0o644),
    ] {
        let draft = work.path().join(name);
        place(&draft, bytes, mode)?;
        fs::rename(&draft, options.out.join(name))?;
    }
    Ok(folder)
}

fn place(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let write = || -> std::io::Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, bytes)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn checksum(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

/// When the release was made, in seconds since 1970.
fn time(root: &Path) -> Result<u64> {
    if let Ok(text) = std::env::var("SOURCE_DATE_EPOCH") {
        return text
            .parse()
            .with_context(|| format!("SOURCE_DATE_EPOCH={text} is no number of seconds"));
    }
    let output = Command::new("git")
        .args(["log", "-1", "--format=%ct"])
        .current_dir(root)
        .output()
        .context("cannot start git")?;
    ensure!(
        output.status.success(),
        "there is no commit to take the time from; set SOURCE_DATE_EPOCH"
    );
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().context("git says no time")
}

#[cfg(test)]
mod tests;
